//! The gate's image, from this executable or by name.

use std::path::PathBuf;

use portgate_docker::engine::{Engine, EngineInfo};
use portgate_docker::image::{GateImage, Loaded};

use crate::args::ImageArguments;
use crate::failure::Failure;
use crate::gates::VERSION;
use crate::interrupt::Interrupt;
use crate::view::Progress;

/// Makes sure that the engine has the image, and returns its reference.
pub(crate) async fn image(
    engine: &Engine,
    info: &EngineInfo,
    arguments: &ImageArguments,
    interrupt: &Interrupt,
) -> Result<String, Failure> {
    if let Some(reference) = &arguments.image {
        engine.require_image(reference).await?;
        return Ok(reference.clone());
    }
    let _progress = Progress::start("Making the gate's image");
    interrupt.abandon(ensure(engine, info)).await
}

/// Makes sure that the engine has the image that is made from this executable, and returns its reference.
pub(crate) async fn ensure(engine: &Engine, info: &EngineInfo) -> Result<String, Failure> {
    let image = GateImage::of(&executable()?, VERSION, &info.architecture)?;
    if engine.ensure_image(&image).await? == Loaded::Built {
        engine.remove_old_images(image.reference()).await?;
    }
    Ok(image.reference().to_owned())
}

/// This executable, even if its file was replaced since it started.
fn executable() -> Result<PathBuf, Failure> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe().map_err(Failure::system("find this executable"))
}
