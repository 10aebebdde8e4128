//! What a plan was made of. A digest names texts, so that a reload leaves alone what did not change; a footprint notices that a
//! file changed without reading any, so that looking often costs little.
//!
//! Digests stay in memory, because secrets are among what they name.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use super::{environment::Environment, files, load::WORKSPACE_FILE, plan::Digest};

/// Names some texts in their order.
pub fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> Digest {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    half
}

/// An environment that remembers what it was asked for, and names of what it answered.
pub struct Heard<'a> {
    env: &'a dyn Environment,
    answers: RefCell<BTreeMap<String, Digest>>,
    files: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Heard<'a> {
    pub fn new(env: &'a dyn Environment) -> Self {
        Self { env, answers: RefCell::default(), files: RefCell::default() }
    }

    /// Names everything that was answered.
    pub fn digest(&self) -> Digest {
        let answers = self.answers.borrow();
        let texts = answers.iter().map(|(name, answer)| format!("{name}={answer:?}"));
        digest(texts.collect::<Vec<_>>().iter().map(String::as_str))
    }

    /// The secret files that were asked for.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().iter().cloned().collect()
    }

    fn note(&self, name: String, answer: Option<&SecretString>) {
        let named = answer.map_or([0; 16], |answer| digest([answer.expose_secret()]));
        self.answers.borrow_mut().insert(name, named);
    }
}

impl Environment for Heard<'_> {
    fn variable(&self, name: &str) -> Option<SecretString> {
        let answer = self.env.variable(name);
        self.note(format!("${name}"), answer.as_ref());
        answer
    }

    fn file(&self, path: &Path) -> Result<SecretString, String> {
        let answer = self.env.file(path);
        self.note(path.display().to_string(), answer.as_ref().ok());
        self.files.borrow_mut().insert(path.to_path_buf());
        answer
    }
}

/// The state of a workspace's files: another one after any of them was written, added or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint(u64);

impl Footprint {
    /// Looks at the files in their usual places and at `others`. Reads none of them.
    pub fn of(dir: &Path, others: &[PathBuf]) -> Self {
        let listed = |folder: &str| files::list(&dir.join(folder)).unwrap_or_default();
        let connectors = listed("connectors").into_iter().map(|folder| folder.join("connector.yaml"));
        let usual = [dir.join(WORKSPACE_FILE)].into_iter().chain(connectors).chain(listed("pipelines"));
        let mut hasher = DefaultHasher::new();
        for path in usual.chain(others.iter().cloned()) {
            path.hash(&mut hasher);
            let mark = fs::metadata(&path).map(|file| {
                (
                    file.dev(),
                    file.ino(),
                    file.size(),
                    (file.mtime(), file.mtime_nsec()),
                    (file.ctime(), file.ctime_nsec()),
                )
            });
            mark.ok().hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MapEnvironment, load};

    fn workspace() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
            fs::write(folder.path().join(path), text).unwrap();
        };
        let connector = "version: 1\nbase_url: https://a.example\nstreams: { people: { get: /p, key: id } }\n";
        write(
            "renkei.yaml",
            "version: 1\nconnections:\n  a: { connector: a, base_url: \"https://${HOST}\" }\n  files: { jsonl: { path: out } }\ncalendars: { office: { file: days.txt } }\n",
        );
        write("connectors/a/connector.yaml", connector);
        write("days.txt", "2027-01-04\n");
        for name in ["one", "two"] {
            let to = format!("to: {{ connection: files, file: {name} }}\n");
            write(
                &format!("pipelines/{name}.yaml"),
                &format!("version: 1\nfrom: {{ connection: a, stream: people }}\n{to}"),
            );
        }
        folder
    }

    #[test]
    fn a_plan_names_what_it_was_made_of_so_that_a_change_is_known_to_be_a_pipelines_own_or_not() {
        let folder = workspace();
        let plan = |host: &str| load(folder.path(), &MapEnvironment::new(&[("HOST", host)])).unwrap();
        let (before, again) = (plan("a.test"), plan("a.test"));
        assert_eq!(before.made_of, again.made_of);
        assert_ne!(before.made_of, plan("b.test").made_of, "a variable has another value");

        let path = folder.path().join("pipelines/one.yaml");
        fs::write(&path, format!("{}# changed\n", fs::read_to_string(&path).unwrap())).unwrap();
        let changed = plan("a.test");
        assert_eq!(before.made_of, changed.made_of);
        let made_of = |plan: &crate::config::Plan, name: &str| plan.pipelines[name].made_of;
        assert_ne!(made_of(&before, "one"), made_of(&changed, "one"));
        assert_eq!(made_of(&before, "two"), made_of(&changed, "two"));
        assert_eq!(before.files, [folder.path().join("days.txt")]);
    }

    #[test]
    fn a_footprint_changes_with_every_file_that_matters() {
        let folder = workspace();
        let others = [folder.path().join("days.txt")];
        let mut seen = vec![Footprint::of(folder.path(), &others)];
        assert_eq!(Footprint::of(folder.path(), &others), seen[0]);
        let mut changed = |what: &str| {
            let now = Footprint::of(folder.path(), &others);
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        for path in
            ["renkei.yaml", "connectors/a/connector.yaml", "pipelines/one.yaml", "days.txt", "pipelines/new.yaml"]
        {
            fs::write(folder.path().join(path), "longer than any of them was before, so that it cannot be missed")
                .unwrap();
            changed(path);
        }
        fs::remove_file(folder.path().join("pipelines/two.yaml")).unwrap();
        changed("a removed file");
        fs::rename(folder.path().join("pipelines/new.yaml"), folder.path().join("pipelines/other.yaml")).unwrap();
        changed("a renamed file");
    }
}
