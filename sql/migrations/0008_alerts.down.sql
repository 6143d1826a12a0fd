DROP TABLE alert_deliveries, alert_logs, alert_thresholds, system_config;
