-- hourly_statistics of one camera-day; the rows of that day were deleted before, in the same transaction.
INSERT INTO hourly_statistics (camera, hour_start, date, entered, exited, unique_total, unique_male, unique_female,
                               unique_unknown, peak_occupancy, mean_occupancy, occupancy_correction, coverage_ms,
                               by_line, by_zone)
SELECT camera, (%(starts)s::timestamptz[])[bucket], %(date)s, entered, exited, unique_total, unique_male, unique_female, unique_unknown,
       peak_occupancy, mean_occupancy, occupancy_correction, coverage_ms, by_line, by_zone
  FROM ({figures}) AS figures
RETURNING entered, exited, unique_total, coverage_ms
