//! Configuration: from the text of `alertmanager.yml` to values without options left.
