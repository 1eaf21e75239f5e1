//! The pages of a list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// Where the next page begins, and the revision that all pages show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    #[serde(rename = "v")]
    version: String,
    /// -1: whatever there is by then.
    #[serde(rename = "rv")]
    revision: i64,
    /// The key of the first object, or one just below it.
    pub(crate) start: String,
}

impl Token {
    /// The token for what comes after the object of this key.
    pub(crate) fn after(key: &str, revision: Option<u64>) -> Self {
        let revision = revision.and_then(|revision| i64::try_from(revision).ok()).unwrap_or(-1);
        Self { version: "meta.k8s.io/v1".to_owned(), revision, start: format!("{key}\0") }
    }

    /// The same place in whatever there is by then.
    pub(crate) fn inconsistent(self) -> Self {
        Self { revision: -1, ..self }
    }

    /// The revision that is to be shown.
    pub(crate) fn revision(&self) -> Option<u64> {
        u64::try_from(self.revision).ok()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let invalid = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| invalid(&error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))
    }

    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_went() {
        let token = Token::after("shop/web", Some(7));
        assert_eq!(Token::parse(&token.text()).unwrap(), token);
        assert_eq!((token.revision(), token.start.as_str()), (Some(7), "shop/web\0"));
        assert_eq!(token.inconsistent().revision(), None);
        assert_eq!(Token::parse("?").unwrap_err().code, 400);
    }
}
