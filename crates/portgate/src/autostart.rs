//! The unit that starts forwards again when the user logs in: systemd's on Linux, launchd's on macOS.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::failure::Failure;

/// What this system starts at a login.
pub(crate) struct Unit {
    /// The file that describes it.
    file: PathBuf,
    content: String,
    /// What makes systemd start it.
    link: Option<PathBuf>,
}

impl Unit {
    /// The unit of this system, for this executable.
    pub(crate) fn new() -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(Failure::system("find this executable"))?;
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = variable("HOME")
            .ok_or_else(|| Failure::system("find the home directory")(io::ErrorKind::NotFound.into()))?;
        if cfg!(target_os = "macos") {
            return Ok(Self::launchd(&home, &program));
        }
        let config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        Ok(Self::systemd(&config, &program))
    }

    fn systemd(config: &Path, program: &Path) -> Self {
        let directory = config.join("systemd/user");
        // Quoted as systemd.syntax(7) and systemd.service(5) ask for: a path may hold blanks, quotes, `%` and `$`.
        let program = program.display().to_string().replace('\\', r"\\").replace('"', "\\\"");
        let program = program.replace('%', "%%").replace('$', "$$");
        let content = format!(
            "[Unit]\n\
             Description=Forwards of portgate\n\
             Documentation=man:systemd.service(5)\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             ExecStart=\"{program}\" autostart run\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n"
        );
        let link = directory.join("default.target.wants/portgate.service");
        Self { file: directory.join("portgate.service"), content, link: Some(link) }
    }

    fn launchd(home: &Path, program: &Path) -> Self {
        let program = program.display().to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let content = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>dev.portgate.forwards</string>
  <key>ProgramArguments</key>
  <array><string>{program}</string><string>autostart</string><string>run</string></array>
  <key>RunAtLoad</key><true/>
  <key>AbandonProcessGroup</key><true/>
</dict>
</plist>
"#
        );
        Self { file: home.join("Library/LaunchAgents/dev.portgate.forwards.plist"), content, link: None }
    }

    /// The file that describes it.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Has it started at each login from now on.
    pub(crate) async fn enable(&self) -> Result<(), Failure> {
        self.write().map_err(Failure::system(format!("write {}", self.file.display())))?;
        self.reload().await;
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let directory = |path: &Path| path.parent().map_or(Ok(()), fs::create_dir_all);
        directory(&self.file)?;
        fs::write(&self.file, &self.content)?;
        let Some(link) = &self.link else { return Ok(()) };
        directory(link)?;
        remove(link)?;
        std::os::unix::fs::symlink(&self.file, link)
    }

    /// Has it started no longer. Returns whether it was.
    pub(crate) async fn disable(&self) -> Result<bool, Failure> {
        let files = self.link.iter().chain([&self.file]);
        let mut was_enabled = false;
        for file in files {
            was_enabled |= remove(file).map_err(Failure::system(format!("remove {}", file.display())))?;
        }
        self.reload().await;
        Ok(was_enabled)
    }

    /// Tells systemd that its files have changed. A systemd that does not run reads them when it starts.
    async fn reload(&self) {
        if self.link.is_some() {
            let mut command = Command::new("systemctl");
            command.args(["--user", "daemon-reload"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = command.status().await;
        }
    }
}

/// Removes a file; returns whether there was one.
fn remove(file: &Path) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_this_executable_whatever_its_path() {
        let unit = Unit::systemd(Path::new("/home/u/.config"), Path::new(r#"/opt/my "100%" tools/portgate"#));
        assert_eq!(unit.file(), Path::new("/home/u/.config/systemd/user/portgate.service"));
        assert!(unit.content.contains(r#"ExecStart="/opt/my \"100%%\" tools/portgate" autostart run"#));
        let agent = Unit::launchd(Path::new("/Users/u"), Path::new("/opt/a&b/portgate"));
        assert!(agent.content.contains("<string>/opt/a&amp;b/portgate</string><string>autostart</string>"));
    }

    #[tokio::test]
    async fn what_is_enabled_can_be_disabled_and_leaves_nothing() {
        let config = tempfile::tempdir().unwrap();
        let unit = Unit::systemd(config.path(), Path::new("/usr/bin/portgate"));
        unit.write().unwrap();
        unit.write().unwrap();
        let link = config.path().join("systemd/user/default.target.wants/portgate.service");
        assert_eq!(fs::read_to_string(&link).unwrap(), unit.content);
        assert!(unit.disable().await.unwrap());
        assert!(!unit.disable().await.unwrap());
        assert!(fs::symlink_metadata(&link).is_err() && !unit.file().exists());
    }
}
