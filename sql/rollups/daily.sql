-- daily_statistics of one day, all cameras; the rows of that day were deleted before, in the same transaction.
INSERT INTO daily_statistics (camera, date, entered, exited, unique_total, unique_male, unique_female, unique_unknown,
                              peak_occupancy, mean_occupancy, occupancy_correction, occupancy_at_reset, coverage_ms,
                              by_line, by_zone, new_total, new_male, new_female)
SELECT camera, %(date)s, entered, exited, unique_total, unique_male, unique_female, unique_unknown,
       peak_occupancy, mean_occupancy, occupancy_correction, entered - exited + occupancy_correction, coverage_ms,
       by_line, by_zone, new_total, new_male, new_female
  FROM ({figures}) AS figures
RETURNING entered, exited, unique_total, coverage_ms
