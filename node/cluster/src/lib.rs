//! Replicated records, the disk log, membership and owners; knows no alerting.
