//! Users that clients must prove to be, by basic authentication.

use tocsin_service::mistake::Mistakes;
use tocsin_service::web::{self, Passwords, UserList};

use crate::config::BasicAuth;

/// Users with their hashes, and checks that were made.
#[derive(Debug)]
pub(crate) struct Users {
    listed: UserList,
    passwords: Passwords,
    realm: String,
}

impl Users {
    /// Reads the file that is named; what the configuration lists comes first.
    /// # Errors
    /// Every mistake of the file.
    pub(crate) fn load(options: &BasicAuth) -> Result<Self, Mistakes> {
        let mut listed = options.users.clone();
        if let Some(path) = &options.users_file {
            listed.extend(web::users(path)?);
        }
        Ok(Users { listed, passwords: Passwords::default(), realm: options.realm.clone() })
    }

    /// Nobody, for a file that cannot be read any more.
    pub(crate) fn nobody(options: &BasicAuth) -> Self {
        let realm = options.realm.clone();
        Users { listed: Vec::new(), passwords: Passwords::default(), realm }
    }

    /// Whom an `Authorization` header proves the client to be.
    pub(crate) async fn who(&self, authorization: Option<&[u8]>) -> Option<&str> {
        let text = authorization.and_then(|value| std::str::from_utf8(value).ok())?;
        self.passwords.who(&self.listed, text).await
    }

    /// Value of `WWW-Authenticate` for somebody who is not known.
    pub(crate) fn challenge(&self) -> String {
        format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.realm)
    }
}
