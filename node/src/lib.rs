//! The alert node: configuration, notification, engine, API, pages.
