//! Where events go: files, standard output, webhooks.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tracing::error;

use super::EventNumbers;
use super::webhook::Webhook;
use crate::config::EventRecorder;
use crate::notify::{Parts, report};

/// The outputs of a configuration.
#[derive(Default)]
pub(super) struct Outputs(Vec<Output>);

/// One of them.
pub(super) enum Output {
    Stdout(Arc<str>),
    File(LineFile),
    Webhook(Webhook),
}

impl Outputs {
    /// Opens all; answers whether some could not be opened, which is logged.
    pub(super) fn build(
        config: &EventRecorder,
        parts: &Parts,
        numbers: &Arc<Mutex<EventNumbers>>,
    ) -> (Self, bool) {
        let mut outputs = Vec::new();
        let mut failed = false;
        for path in &config.files {
            match LineFile::open(path) {
                Ok(file) => outputs.push(Output::File(file)),
                Err(failure) => {
                    failed = true;
                    error!(component = "eventrecorder", path = %path.display(), error = %failure, "event file cannot be opened");
                }
            }
        }
        outputs.extend((0..config.stdout).map(|_| Output::Stdout("stdout".into())));
        for webhook in &config.webhooks {
            match Webhook::start(webhook, parts, Arc::clone(numbers)) {
                Ok(webhook) => outputs.push(Output::Webhook(webhook)),
                Err(failure) => {
                    failed = true;
                    error!(component = "eventrecorder", error = %report(&failure), "event webhook cannot be used");
                }
            }
        }
        (Self(outputs), failed)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Output> {
        self.0.iter_mut()
    }

    /// Others from now on; what the old ones have not sent yet goes on in the background.
    pub(super) fn replace(&mut self, others: Self) {
        std::mem::replace(self, others).discard();
    }

    /// Lets them send what they have.
    pub(super) fn discard(self) {
        tokio::spawn(self.close());
    }

    /// Ends when they have sent what they have.
    pub(super) async fn close(self) {
        for output in self.0 {
            if let Output::Webhook(webhook) = output {
                webhook.close().await;
            }
        }
    }
}

impl Output {
    /// Its label in metrics.
    pub(super) fn name(&self) -> &Arc<str> {
        match self {
            Self::Stdout(name) => name,
            Self::File(file) => &file.name,
            Self::Webhook(webhook) => webhook.name(),
        }
    }

    /// Takes one line with its end; answers how many bytes that are.
    /// # Errors
    /// The file's, or standard output's.
    pub(super) fn write(&mut self, line: &Bytes) -> std::io::Result<usize> {
        match self {
            Self::Stdout(_) => std::io::stdout().lock().write_all(line)?,
            Self::File(file) => file.write(line)?,
            Self::Webhook(webhook) => webhook.queue(line.slice(..line.len() - 1)),
        }
        Ok(line.len())
    }
}

/// A file that lines are added to. When another file stands at its path, or none, as after a rotation, a new one is opened.
pub(super) struct LineFile {
    name: Arc<str>,
    path: PathBuf,
    file: File,
}

impl LineFile {
    fn open(path: &Path) -> std::io::Result<Self> {
        let name = format!("file:{}", path.display()).into();
        Ok(Self { name, path: path.to_owned(), file: append(path)? })
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        if !self.is_in_place() {
            self.file = append(&self.path)?;
        }
        // One call a line: other programs may read along.
        self.file.write_all(line)
    }

    fn is_in_place(&self) -> bool {
        let here = std::fs::metadata(&self.path).map(|found| (found.dev(), found.ino()));
        let ours = self.file.metadata().map(|found| (found.dev(), found.ino()));
        matches!((here, ours), (Ok(here), Ok(ours)) if here == ours)
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    File::options().append(true).create(true).open(path)
}
