//! The receivers: one file each, and the client and retry loop they share.
