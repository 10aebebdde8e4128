//! `renkei init`: a workspace that validates and runs, small enough to read whole. It never overwrites a file.

use std::{fs, io, path::Path};

use serde_json::json;

use super::{
    failure::{DONE, Failure},
    output::{Output, Paint},
};
use crate::model::{Blame, Code, Fault};

/// Every file of a new workspace.
pub const FILES: [(&str, &str); 7] = [
    ("renkei.yaml", include_str!("scaffold/renkei.yaml")),
    ("connectors/myshop/connector.yaml", include_str!("scaffold/connectors/myshop/connector.yaml")),
    ("connectors/myshop/README.md", include_str!("scaffold/connectors/myshop/README.md")),
    ("pipelines/customers.yaml", include_str!("scaffold/pipelines/customers.yaml")),
    (".gitignore", include_str!("scaffold/gitignore")),
    (".env.example", include_str!("scaffold/env.example")),
    ("state/README.md", include_str!("scaffold/state/README.md")),
];

pub fn init(folder: &Path, output: &Output) -> Result<u8, Failure> {
    let taken: Vec<&str> = FILES.iter().map(|(path, _)| *path).filter(|path| folder.join(path).exists()).collect();
    if let Some((first, others)) = taken.split_first() {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more of these files", others.len()) };
        return Err(Failure::usage(
            format!("{} already has {first}{more}", folder.display()),
            "nothing was written; name a new folder: renkei init my-workspace",
        ));
    }
    for (path, text) in FILES {
        write_new(&folder.join(path), text)?;
    }
    tell(folder, output);
    Ok(DONE)
}

/// Writes a file that must not exist yet, with the folders it stands in.
pub fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("{} cannot be written: {error}", path.display()))
            .help("no existing file was changed; check the folder's permissions and free space (df -h)")
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::File::create_new(path).map_err(failed)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    Ok(())
}

fn tell(folder: &Path, output: &Output) {
    if output.json() {
        let files: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        return output.document(&json!({ "workspace": folder, "files": files }));
    }
    let paint = Paint(output.color_stdout);
    output.line(format_args!("{} {}", paint.green("made"), folder.display()));
    for (path, _) in FILES {
        output.line(format_args!("  {path}"));
    }
    let here = folder.components().all(|part| part == std::path::Component::CurDir);
    let enter = if here { String::new() } else { format!("cd {}\n  ", folder.display()) };
    output.line(format_args!(
        "\nNext:\n  {enter}renkei validate          check every file\n  \
         renkei sandbox           in a second terminal: a shop to read from\n  \
         renkei run               customers travel into out/\n  renkei status            where everything stands"
    ));
}
