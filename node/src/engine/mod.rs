//! The engine: tables, ingest, the loop over groups, and deliveries.
