DROP VIEW job_success, queue_length, connections, slow_queries, index_use, partition_sizes;
DROP FUNCTION dagster_jobs(), dagster_queue(), slow_statements();
