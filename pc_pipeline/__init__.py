"""From video files to people counts a site manager can trust."""
