//! What templates see of a notification.
