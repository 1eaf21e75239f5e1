//! Images in the engine: looking up, loading, clearing.

use std::collections::HashMap;
use std::io;

use bollard::body_full;
use bollard::models::ImageInspect;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptionsBuilder, RemoveImageOptions};
use futures_util::TryStreamExt;

use super::{GateImage, TAG_DIGITS};
use crate::call::{self, CHANGE, Call, QUESTION, TRANSFER, is_conflict, is_missing};
use crate::engine::Engine;
use crate::labels;

/// How an image came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It was packed and loaded now.
    Built,
    /// It was there.
    Reused,
}

/// Why an image is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reference is not of the form `[REGISTRY/]NAME[:TAG][@DIGEST]`.
    #[error("{reference} is not the name of an image")]
    BadReference {
        /// As it was given.
        reference: String,
    },
    /// The engine has no such image.
    #[error("the engine has no image {reference}")]
    Unknown {
        /// As it was given.
        reference: String,
    },
    /// The archive could not be put together.
    #[error("cannot pack image {reference}")]
    Pack {
        /// The image's name.
        reference: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadReference { .. } => Some("write it as [REGISTRY/]NAME[:TAG]".to_owned()),
            Self::Unknown { reference } => Some(format!("fetch it with `docker pull {reference}`")),
            Self::Pack { .. } => None,
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Engine {
    /// Loads the image, unless the engine has it. Another image of the same name loses the name.
    pub async fn ensure_image(&self, image: &GateImage) -> Result<Loaded, Error> {
        let pack = |source| Error::Pack { reference: image.reference().to_owned(), source };
        if let Some(found) = self.find_image(image.reference()).await?
            && image.is(&found).map_err(pack)?
        {
            return Ok(Loaded::Reused);
        }
        let archive = body_full(image.archive().map_err(pack)?.into());
        let load = self.docker.import_image(ImportImageOptions::default(), archive, None);
        let done = async { load.try_for_each(async |_| Ok(())).await };
        Call::new("load image", image.reference(), TRANSFER).make(done).await?;
        Ok(Loaded::Built)
    }

    /// Makes sure that the engine has an image that the user names. It is not fetched.
    pub async fn require_image(&self, reference: &str) -> Result<(), Error> {
        if !is_reference(reference) {
            return Err(Error::BadReference { reference: reference.to_owned() });
        }
        match self.find_image(reference).await? {
            Some(_) => Ok(()),
            None => Err(Error::Unknown { reference: reference.to_owned() }),
        }
    }

    /// Removes the images that portgate packed into the same repository as `keep`, except for `keep` and those that a
    /// container uses. Returns the references that went.
    pub async fn remove_old_images(&self, keep: &str) -> Result<Vec<String>, call::Error> {
        let repository = keep.rsplit_once(':').map_or(keep, |(repository, _)| repository);
        let label = format!("{}=true", labels::IMAGE);
        let filters = HashMap::from([("label", vec![label]), ("reference", vec![repository.to_owned()])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let images = Call::new("list images", "", QUESTION).make(self.docker.list_images(Some(options))).await?;
        // An image may have other names beside, and any image may have the label.
        let is_old = |reference: &String| reference != keep && is_packed(reference, repository);
        let old = images.into_iter().flat_map(|image| image.repo_tags).filter(is_old);
        let mut removed = Vec::new();
        for reference in old {
            if self.remove_image(&reference).await? {
                removed.push(reference);
            }
        }
        Ok(removed)
    }

    /// Whether it was removed: one that is in use, or gone meanwhile, was not.
    async fn remove_image(&self, reference: &str) -> Result<bool, call::Error> {
        let removal = self.docker.remove_image(reference, None::<RemoveImageOptions>, None);
        match Call::new("remove image", reference, CHANGE).make(removal).await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) || is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ImageInspect>, call::Error> {
        match Call::new("look up image", reference, QUESTION).make(self.docker.inspect_image(reference)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a reference is one that portgate gives to images of this repository. Podman writes a registry before it.
fn is_packed(reference: &str, repository: &str) -> bool {
    let reference = reference.strip_prefix("localhost/").unwrap_or(reference);
    let tag = reference.strip_prefix(repository).and_then(|rest| rest.strip_prefix(':'));
    let digits = tag.and_then(|tag| tag.rsplit_once('-')).map(|(_, digits)| digits);
    digits.is_some_and(|digits| digits.len() == TAG_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether a reference can stand in a URL's path as it is. The engine checks its grammar.
fn is_reference(text: &str) -> bool {
    let plain = |part: &str| part != ".." && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:@".contains(&b));
    text.split('/').all(|part| !part.is_empty() && plain(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_image_in_the_same_repository_is_not_one_that_portgate_packed() {
        assert!(is_packed("portgate:0.1.0-0123456789ab", "portgate"));
        assert!(is_packed("localhost/portgate:0.1.0-dev-0123456789ab", "portgate"));
        for other in ["portgate:mine", "portgate:0.1.0-mine", "another:0.1.0-0123456789ab", "portgate2:0-0123456789ab"]
        {
            assert!(!is_packed(other, "portgate"), "{other}");
        }
    }

    #[test]
    fn references_do_not_leave_their_place_in_the_url() {
        assert!(is_reference("portgate:0.1.0"));
        assert!(is_reference("ghcr.io:443/me/portgate@sha256:0123"));
        for bad in ["", "a b", "a/../../containers/json?", "a//b", "a#b", "/a"] {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
