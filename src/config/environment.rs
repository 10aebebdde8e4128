//! Where `${...}` gets its values. The real environment is read here and nowhere else in the program; tests and the
//! simulation bring maps.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use secrecy::SecretString;
use zeroize::Zeroizing;

/// A secret file that is larger is refused.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Variables and secret files.
pub trait Environment {
    /// The variable's value, or nothing when it is not set.
    fn variable(&self, name: &str) -> Option<SecretString>;

    /// The text of a secret file, without the newline at its end.
    fn file(&self, path: &Path) -> Result<SecretString, String>;
}

/// The process's own environment and file system.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variable(&self, name: &str) -> Option<SecretString> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        std::env::var(name).ok().map(SecretString::from)
    }

    fn file(&self, path: &Path) -> Result<SecretString, String> {
        let mut text = Zeroizing::new(String::new());
        File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)).map_err(
            |error| match error.kind() {
                io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
                _ => error.to_string(),
            },
        )?;
        if text.len() as u64 > SECRET_BYTES_MAX {
            return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
        }
        Ok(SecretString::from(trimmed(&text)))
    }
}

/// Without one newline at the end, which editors and `echo` add.
fn trimmed(text: &str) -> String {
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)).to_owned()
}

/// An environment of given variables, without files. For tests, demos and simulations.
#[derive(Clone, Default)]
pub struct MapEnvironment {
    variables: BTreeMap<String, String>,
}

impl MapEnvironment {
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { variables: variables.iter().map(own).collect() }
    }
}

impl Environment for MapEnvironment {
    fn variable(&self, name: &str) -> Option<SecretString> {
        self.variables.get(name).map(|value| SecretString::from(value.clone()))
    }

    fn file(&self, _path: &Path) -> Result<SecretString, String> {
        Err("this environment has no files".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn one_newline_at_the_end_of_a_secret_file_does_not_belong_to_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\r\n").unwrap();
        assert_eq!(SystemEnvironment.file(&path).unwrap().expose_secret(), "s3cret");
        std::fs::write(&path, "two\n\n").unwrap();
        assert_eq!(SystemEnvironment.file(&path).unwrap().expose_secret(), "two\n");
    }

    #[test]
    fn a_secret_file_that_is_too_large_or_no_text_is_refused_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, vec![b'a'; SECRET_BYTES_MAX as usize + 1]).unwrap();
        assert!(SystemEnvironment.file(&path).unwrap_err().contains("larger"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(SystemEnvironment.file(&path).unwrap_err(), "it is not UTF-8 text");
        assert!(SystemEnvironment.file(folder.path()).is_err());
    }
}
