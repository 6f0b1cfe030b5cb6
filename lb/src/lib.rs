//! The balancer: health checks, retries, stats.
