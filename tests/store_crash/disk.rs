//! A disk that tells what a power cut would leave. Data is durable once a sync of its file that began after the write
//! ended has ended; a name once its directory was synced so. Nothing else is.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use super::trace::{Call, Event};

const PAGE_BYTES: u64 = 4096;

type Inode = usize;
const ROOT: Inode = 0;

enum Effect {
    Write { file: Inode, offset: u64, bytes: Vec<u8> },
    Truncate { file: Inode, len: u64 },
    Name { dir: Inode, name: String, inode: Inode },
    Unname { dir: Inode, name: String },
    Move { dir: Inode, from: String, to: String },
}

struct Entry {
    effect: Effect,
    /// The inode whose sync makes this durable.
    of: Inode,
    ended: bool,
    durable: bool,
}

/// What survives of that which is not durable.
pub enum Survives {
    Nothing,
    Everything,
    /// Each page of each write by chance; of the names of each directory, the first so many.
    Some(fastrand::Rng),
}

/// Follows events of processes whose files are under one directory.
pub struct Disk {
    root: String,
    inodes: usize,
    dirs: HashSet<Inode>,
    names: BTreeMap<(Inode, String), Inode>,
    entries: Vec<Entry>,
    /// Where the next write to a descriptor goes.
    positions: HashMap<u64, u64>,
    /// Entries of calls under way, and what a sync under way will make durable.
    begun: HashMap<usize, Vec<usize>>,
    syncs: HashMap<usize, Vec<usize>>,
    /// The last number that a process said was acknowledged.
    pub acknowledged: u64,
}

/// Files and directories by their path.
pub type Image = BTreeMap<String, Option<Vec<u8>>>;

impl Disk {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_str().unwrap().to_owned(),
            inodes: 1,
            dirs: HashSet::new(),
            names: BTreeMap::new(),
            entries: Vec::new(),
            positions: HashMap::new(),
            begun: HashMap::new(),
            syncs: HashMap::new(),
            acknowledged: 0,
        }
    }

    /// The numbers of descriptors and events of another process begin anew; what the disk holds does not.
    pub fn next_process(&mut self) {
        self.positions.clear();
        self.begun.clear();
        self.syncs.clear();
    }

    /// Returns whether the event could change what a power cut leaves.
    pub fn follow(&mut self, index: usize, event: &Event) -> bool {
        let call = match event {
            Event::Begin(call) => call,
            Event::End(begin) => {
                for entry in self.begun.remove(begin).unwrap_or_default() {
                    self.entries[entry].ended = true;
                }
                let synced = self.syncs.remove(begin);
                for entry in synced.iter().flatten() {
                    self.entries[*entry].durable = true;
                }
                return synced.is_some_and(|entries| !entries.is_empty());
            }
        };
        let before = self.entries.len();
        self.begin(index, call);
        self.begun.insert(index, (before..self.entries.len()).collect());
        self.entries.len() > before
    }

    fn begin(&mut self, index: usize, call: &Call) {
        match call {
            Call::Open { path, fd, create, truncate } => {
                self.positions.insert(*fd, 0);
                let Some((dir, name)) = self.place(path) else { return };
                match self.names.get(&(dir, name.clone())).copied() {
                    Some(file) if *truncate => self.enter(file, Effect::Truncate { file, len: 0 }),
                    None if *create => self.add(dir, name),
                    _ => {}
                }
            }
            Call::Write { path, fd, offset, bytes } => {
                if *fd == 1 {
                    self.listen(bytes);
                }
                let Some(file) = self.inode(path) else { return };
                let position = self.positions.entry(*fd).or_default();
                let offset = offset.unwrap_or_else(|| {
                    *position += bytes.len() as u64;
                    *position - bytes.len() as u64
                });
                self.enter(file, Effect::Write { file, offset, bytes: bytes.clone() });
            }
            Call::Truncate { path, len } => {
                if let Some(file) = self.inode(path) {
                    self.enter(file, Effect::Truncate { file, len: *len });
                }
            }
            Call::Sync { path } => {
                let Some(inode) = self.inode(path) else { return };
                let covered = |entry: &Entry| entry.of == inode && entry.ended && !entry.durable;
                let entries = (0..self.entries.len()).filter(|entry| covered(&self.entries[*entry])).collect();
                self.syncs.insert(index, entries);
            }
            Call::Rename { from, to } => {
                let (Some((dir, from)), Some((to_dir, to))) = (self.place(from), self.place(to)) else { return };
                assert_eq!(dir, to_dir, "a rename between directories is not followed");
                let inode = self.names.remove(&(dir, from.clone())).unwrap();
                self.names.insert((dir, to.clone()), inode);
                self.enter(dir, Effect::Move { dir, from, to });
            }
            Call::Unlink { path } => {
                let Some((dir, name)) = self.place(path) else { return };
                self.names.remove(&(dir, name.clone())).unwrap();
                self.enter(dir, Effect::Unname { dir, name });
            }
            Call::MakeDir { path } => {
                if let Some((dir, name)) = self.place(path) {
                    self.dirs.insert(self.inodes);
                    self.add(dir, name);
                }
            }
        }
    }

    fn listen(&mut self, bytes: &[u8]) {
        let said = String::from_utf8_lossy(bytes);
        if let Some(number) = said.trim().strip_prefix("acked ") {
            self.acknowledged = number.parse().unwrap();
        }
    }

    fn enter(&mut self, of: Inode, effect: Effect) {
        self.entries.push(Entry { effect, of, ended: false, durable: false });
    }

    fn add(&mut self, dir: Inode, name: String) {
        let inode = self.inodes;
        self.inodes += 1;
        self.names.insert((dir, name.clone()), inode);
        self.enter(dir, Effect::Name { dir, name, inode });
    }

    fn inode(&self, path: &str) -> Option<Inode> {
        if path == self.root {
            return Some(ROOT);
        }
        let place = self.place(path)?;
        self.names.get(&place).copied()
    }

    /// The directory and the name of a path under the root.
    fn place(&self, path: &str) -> Option<(Inode, String)> {
        let inside = path.strip_prefix(&self.root)?.strip_prefix('/')?;
        let (dirs, name) = inside.rsplit_once('/').unwrap_or(("", inside));
        let dirs = dirs.split('/').filter(|part| !part.is_empty());
        let mut dir = ROOT;
        for part in dirs {
            dir = *self.names.get(&(dir, part.to_owned()))?;
        }
        Some((dir, name.to_owned()))
    }

    /// The files as they are after a power cut now.
    pub fn image(&self, mut survives: Survives) -> Image {
        let mut contents: HashMap<Inode, Vec<u8>> = HashMap::new();
        let mut names: BTreeMap<(Inode, String), Inode> = BTreeMap::new();
        // Names survive in their order, so once one of a directory is lost, the later ones are too.
        let mut stopped: HashMap<Inode, bool> = HashMap::new();
        for entry in &self.entries {
            if let Effect::Write { file, offset, bytes } = &entry.effect {
                for (offset, bytes) in pages(*offset, bytes) {
                    if entry.durable || survives.draws() {
                        write_at(contents.entry(*file).or_default(), offset, bytes);
                    }
                }
                continue;
            }
            if !entry.durable {
                let lost = stopped.entry(entry.of).or_default();
                *lost = *lost || !survives.draws();
                if *lost {
                    continue;
                }
            }
            match &entry.effect {
                Effect::Write { .. } => {}
                Effect::Truncate { file, len } => contents.entry(*file).or_default().resize(*len as usize, 0),
                Effect::Name { dir, name, inode } => drop(names.insert((*dir, name.clone()), *inode)),
                Effect::Unname { dir, name } => drop(names.remove(&(*dir, name.clone()))),
                Effect::Move { dir, from, to } => {
                    let inode = names.remove(&(*dir, from.clone())).expect("names survive in their order");
                    names.insert((*dir, to.clone()), inode);
                }
            }
        }
        let mut image = Image::new();
        gather(ROOT, "", &names, &contents, &self.dirs, &mut image);
        image
    }
}

impl Survives {
    fn draws(&mut self) -> bool {
        match self {
            Survives::Nothing => false,
            Survives::Everything => true,
            Survives::Some(rng) => rng.bool(),
        }
    }
}

/// Writes the files of an image under a directory.
pub fn lay_out(image: &Image, root: &Path) {
    for (path, content) in image {
        let path = root.join(path);
        match content {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::create_dir(path).unwrap(),
        }
    }
}

fn gather(
    dir: Inode,
    path: &str,
    names: &BTreeMap<(Inode, String), Inode>,
    contents: &HashMap<Inode, Vec<u8>>,
    dirs: &HashSet<Inode>,
    image: &mut Image,
) {
    for ((_, name), inode) in names.range((dir, String::new())..(dir + 1, String::new())) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if dirs.contains(inode) {
            image.insert(path.clone(), None);
            gather(*inode, &path, names, contents, dirs, image);
        } else {
            image.insert(path, Some(contents.get(inode).cloned().unwrap_or_default()));
        }
    }
}

fn pages(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let first = ((PAGE_BYTES - offset % PAGE_BYTES) as usize).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    let mut pages = vec![(offset, head)];
    let begin = offset + first as u64;
    pages.extend(tail.chunks(PAGE_BYTES as usize).enumerate().map(|(at, page)| (begin + at as u64 * PAGE_BYTES, page)));
    pages
}

fn write_at(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (begin, end) = (offset as usize, offset as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[begin..end].copy_from_slice(bytes);
}
