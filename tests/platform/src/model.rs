use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// A pickle of one byte string, whose bytes are a hole in the file: long to read, and nothing to store.
pub fn slow_model(path: &Path) {
    sparse_model(path, 24 << 30);
}

/// The same, of a string of this length.
pub fn sparse_model(path: &Path, length: u64) {
    let mut file = File::create(path).unwrap();
    file.write_all(b"\x80\x04\x8e").unwrap();
    file.write_all(&length.to_le_bytes()).unwrap();
    file.set_len(length + 11).unwrap();
    io::Seek::seek(&mut file, io::SeekFrom::End(0)).unwrap();
    file.write_all(b".").unwrap();
}
