//! Taking answers apart, whatever they are written in and however they come.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::{
    Compression, Crc,
    write::{DeflateEncoder, GzEncoder},
};

use super::{draft::Draft, list::List, text::Text, *};
use crate::{
    config::plan::{Charset, EmptyCell, Packed, Table},
    model::Code,
};

const ROOM: u64 = 64 << 20;

fn csv() -> Format {
    Format::Csv(Table { columns: None, separator: b',', quote: b'"', empty: EmptyCell::Null })
}

fn decode(format: Format, charset: &str, packed: Packed) -> Decode {
    Decode { format, charset: Charset::named(charset).unwrap(), packed }
}

/// The records of an answer, and what is said of its broken rows.
fn read(body: &[u8], decode: &Decode, bytes_max: u64) -> Result<(Vec<String>, Vec<String>), Trouble> {
    let most = Most { records: 3, bytes: 1 << 20 };
    let (mut all, mut broken) = (Vec::new(), Vec::new());
    let body = Body::Memory(Bytes::copy_from_slice(body));
    let mut records = Records::open(body, decode, &Path::whole(), bytes_max, false)?;
    loop {
        let piece = records.next(most)?;
        let list: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&piece.text).unwrap();
        assert!(list.len() <= 3 && (list.len() == 3 || piece.frame.is_some()), "{list:?}");
        all.extend(list.iter().map(|record| record.get().to_owned()));
        broken.extend(piece.broken.into_iter().map(|(_, reason)| reason.message));
        if piece.frame.is_some() {
            assert_eq!(records.handed(), all.len() as u64);
            return Ok((all, broken));
        }
    }
}

fn rows(text: &str) -> (Vec<String>, Vec<String>) {
    read(text.as_bytes(), &decode(csv(), "utf-8", Packed::No), ROOM).unwrap()
}

fn trouble(body: &[u8], decode: &Decode) -> (Code, String) {
    let fault = read(body, decode, ROOM).unwrap_err().fault(decode.charset.name());
    (fault.code, fault.message)
}

/// Bytes that come a few at a time.
struct Dripping(Bytes, usize);

impl Read for Dripping {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let some = self.1.min(self.0.len()).min(out.len());
        out[..some].copy_from_slice(&self.0.split_to(some));
        Ok(some)
    }
}

#[test]
fn a_list_that_comes_in_drips_is_the_list_that_came_whole() {
    let text = r#" {"n\u0065xt":[1,{"data":[0]}], "a" : {"data" :[ {"x":"]},{"} , 12, -1.5e3,"\u00e9\"", tru€, [[],{}] ,null]} , "total": 7 } "#;
    let text = text.replace("tru€", "true");
    for drip in 1..40 {
        let from = Box::new(Dripping(Bytes::from(text.clone()), drip));
        let mut list = List::new(Text::new(from, Charset::UTF_8), Path::parse("a.data").unwrap());
        let (mut all, mut left) = (Vec::new(), Left::More);
        while left == Left::More {
            let mut draft = Draft::new(Most { records: 2, bytes: 1 << 20 }, false);
            left = list.take(&mut draft).unwrap();
            let piece = draft.piece(None);
            let some: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&piece.text).unwrap();
            all.extend(some.iter().map(|raw| raw.get().to_owned()));
        }
        let expected = [r#"{"x":"]},{"}"#, "12", "-1.5e3", r#""\u00e9\"""#, "true", "[[],{}]", "null"];
        assert_eq!(all, expected, "{drip} bytes at a time");
        let frame = r#" {"n\u0065xt":[1,{"data":[0]}], "a" : {"data" :[]} , "total": 7 } "#;
        assert_eq!(list.into_frame(), frame);
    }
}

#[test]
fn json_that_breaks_off_or_breaks_says_where() {
    let plain = Decode::PLAIN;
    let whole = br#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#;
    for end in 1..whole.len() {
        let (code, message) = trouble(&whole[..end], &plain);
        assert_eq!(
            (code, message.as_str()),
            (Code::Truncated, &*format!("the answer's JSON ends early, after {end} bytes"))
        );
    }
    let (code, message) = trouble(br#"[{"id":1},{"id":2},{"id" 3},{"id":4}]"#, &plain);
    assert_eq!((code, message.as_str()), (Code::NotJson, "the answer is no JSON from byte 25 on"));
    let (code, message) = trouble(br#"[{"id":1}] rest"#, &plain);
    assert_eq!((code, message.as_str()), (Code::NotJson, "the answer is no JSON from byte 11 on"));
    assert_eq!(trouble(b"[\"\x83\x65\"]", &plain).0, Code::WrongCharset);
}

#[test]
fn rows_become_objects_of_texts() {
    let (all, broken) = rows("id,name,note\n1,\"a \"\"b\"\",\nc\",x\r\n\r\n2,,\" y\"\n");
    assert_eq!(all, [r#"{"id":"1","name":"a \"b\",\nc","note":"x"}"#, r#"{"id":"2","name":null,"note":" y"}"#]);
    assert_eq!(broken, [""; 0]);
    let table = |empty| {
        Format::Csv(Table { columns: Some(vec!["a".into(), "b".into()]), separator: b';', quote: b'\'', empty })
    };
    let one = |empty| read("'x;y';\n".as_bytes(), &decode(table(empty), "utf-8", Packed::No), ROOM).unwrap().0;
    assert_eq!(one(EmptyCell::Absent), [r#"{"a":"x;y"}"#]);
    assert_eq!(one(EmptyCell::Text), [r#"{"a":"x;y","b":""}"#]);
    assert_eq!(rows("\u{feff}id\n1").0, [r#"{"id":"1"}"#]);
    assert_eq!(rows("").0, [""; 0]);
    assert_eq!(rows("id,name\n").0, [""; 0]);
    assert_eq!(rows("id\n\u{fdd1}\n2\n").0, ["{\"id\":\"\u{fdd1}\"}", r#"{"id":"2"}"#]);
}

#[test]
fn a_ragged_row_is_told_by_its_line_and_the_rows_behind_it_go_on() {
    for line_break in ["\n", "\r\n"] {
        let text = "id,name\n1,\"a\nb\"\n2\n3,c,d\n\n4,e\n".replace('\n', line_break);
        let (all, broken) = rows(&text);
        assert_eq!(
            broken,
            [
                "line 4 of the answer has 1 cells where there are 2 columns",
                "line 5 of the answer has 3 cells where there are 2 columns"
            ]
        );
        assert_eq!(all.len(), 4);
        assert_eq!(all[1], r#"{"line":4,"row":["2"]}"#);
        assert_eq!(all[3], r#"{"id":"4","name":"e"}"#);
    }
}

#[test]
fn a_table_that_is_cut_off_is_no_table() {
    let plain = decode(csv(), "utf-8", Packed::No);
    let (code, message) = trouble(b"id,name\n1,a\n2,\"b\n3,c\n", &plain);
    assert_eq!(
        (code, message.as_str()),
        (Code::Truncated, "the answer's CSV ends inside of a quoted cell that begins in line 3")
    );
    let (code, message) = trouble(b"id,name\n1,a\n2", &plain);
    assert_eq!((code, message.as_str()), (Code::Truncated, "the answer's CSV ends in line 3, after 1 of 2 cells"));
    assert_eq!(rows("id,name\n1,a\n2,b").0.len(), 2, "a last line without a line break is whole");
}

#[test]
fn columns_that_cannot_be_told_apart_are_an_error() {
    let plain = decode(csv(), "utf-8", Packed::No);
    for (text, why) in
        [("id,id\n", "the first row names two columns `id`"), ("id,,x\n", "the first row gives column 2 no name")]
    {
        assert_eq!(trouble(text.as_bytes(), &plain), (Code::NoColumns, why.to_owned()));
    }
}

#[test]
fn another_charset_is_read_where_it_is_declared_and_named_where_it_is_not() {
    let text = b"id,name\n1,abc\n2,\x83\x65\x83\x58\x83\x67\n3,\xb1\xb2\n";
    let (all, _) = read(text, &decode(csv(), "shift_jis", Packed::No), ROOM).unwrap();
    assert_eq!(all[1..], ["{\"id\":\"2\",\"name\":\"テスト\"}", "{\"id\":\"3\",\"name\":\"ｱｲ\"}"]);
    let (code, message) = trouble(text, &decode(csv(), "utf-8", Packed::No));
    assert_eq!((code, message.as_str()), (Code::WrongCharset, "line 3 of the answer is not in UTF-8"));
    let (code, message) =
        trouble(b"{\"id\":1}\n{\"n\":\"\x83\x65\"}\n", &decode(Format::JsonLines, "utf-8", Packed::No));
    assert_eq!((code, message.as_str()), (Code::WrongCharset, "line 2 of the answer is not in UTF-8"));
    assert_eq!(trouble(b"id,\x83\x65\n1,2\n", &decode(csv(), "utf-8", Packed::No)).0, Code::WrongCharset);
    // Where others can be read, it is the row that is damaged.
    let (all, broken) =
        read("id,name\n1,é\n2,\u{fffd}\n3,x\n".as_bytes(), &decode(csv(), "utf-8", Packed::No), ROOM).unwrap();
    assert_eq!((all.len(), broken.len()), (3, 0));
    let (all, broken) = read(b"id,name\n1,\xc3\xa9\n2,\xff\n3,x\n", &decode(csv(), "utf-8", Packed::No), ROOM).unwrap();
    assert_eq!(
        (all.len(), broken),
        (3, vec!["line 3 of the answer has bytes that are not of the declared charset".to_owned()])
    );
}

#[test]
fn a_line_that_is_no_json_is_told_and_the_lines_behind_it_go_on() {
    let lines = decode(Format::JsonLines, "utf-8", Packed::No);
    let (all, broken) = read(b"{\"id\":1}\r\n\n{\"id\":\n {\"id\":3} \n{\"id\":4}", &lines, ROOM).unwrap();
    assert_eq!(broken, ["line 3 of the answer is no JSON from its byte 6 on"]);
    assert_eq!(all, [r#"{"id":1}"#, r#"{"line":3,"row":"{\"id\":"}"#, r#"{"id":3}"#, r#"{"id":4}"#]);
    let (code, message) = trouble(b"{\"id\":1}\n{\"id\":", &lines);
    assert_eq!((code, message.as_str()), (Code::Truncated, "the answer's JSON ends early, in line 2"));
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

/// A zip file by APPNOTE 4.3, without what its directory does not need. `damage` changes each checksum.
fn zip(files: &[(&str, &[u8], bool)], damage: u32) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, text, is_packed) in files {
        let mut crc = Crc::new();
        crc.update(text);
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        packer.write_all(text).unwrap();
        let (method, body) = if *is_packed { (8u16, packer.finish().unwrap()) } else { (0, text.to_vec()) };
        let (at, name_len) = (out.len() as u32, name.len() as u16);
        let mut middle = Vec::new();
        middle.extend([20u16, 0, method, 0, 0x21].iter().flat_map(|n| n.to_le_bytes()));
        middle.extend([crc.sum() ^ damage, body.len() as u32, text.len() as u32].iter().flat_map(|n| n.to_le_bytes()));
        middle.extend([name_len, 0].iter().flat_map(|n| n.to_le_bytes()));
        out.extend(b"PK\x03\x04");
        out.extend(&middle);
        out.extend(name.as_bytes());
        out.extend(&body);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&middle);
        directory.extend([0u8; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, count) = (out.len() as u32, files.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([directory.len() as u32, at].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([0, 0]);
    out
}

#[test]
fn gzip_files_of_several_members_are_one_text() {
    let packed = decode(Format::JsonLines, "utf-8", Packed::Gzip);
    let body = [gzip(b"{\"id\":1}\n{\"id\""), gzip(b":2}\n")].concat();
    assert_eq!(read(&body, &packed, ROOM).unwrap().0, [r#"{"id":1}"#, r#"{"id":2}"#]);
    for end in [0, 5, 12, body.len() - 4] {
        assert_eq!(trouble(&body[..end], &packed).0, Code::Unpacking, "cut off after {end} bytes");
    }
    assert_eq!(trouble(b"{\"id\":1}\n", &packed).0, Code::Unpacking);
    let mut damaged = body.clone();
    damaged[14] ^= 0xff;
    assert_eq!(trouble(&damaged, &packed).0, Code::Unpacking);
}

#[test]
fn the_files_of_a_zip_file_are_read_one_after_another() {
    let packed = decode(csv(), "utf-8", Packed::Zip);
    let files: [(&str, &[u8], bool); 4] = [
        ("a.csv", b"id,x\n1,a\n", true),
        ("more/", b"", false),
        ("more/b.csv", b"x,id\nb,2\n", false),
        ("empty.csv", b"", true),
    ];
    let body = zip(&files, 0);
    assert_eq!(read(&body, &packed, ROOM).unwrap().0, [r#"{"id":"1","x":"a"}"#, r#"{"x":"b","id":"2"}"#]);
    let (code, message) = trouble(&zip(&files, 1), &packed);
    assert_eq!(code, Code::Unpacking);
    assert!(message.contains("another checksum"), "{message}");
    for end in [0, 30, body.len() - 1] {
        assert_eq!(trouble(&body[..end], &packed).0, Code::Unpacking, "cut off after {end} bytes");
    }
}

#[test]
fn what_unpacks_to_more_than_it_may_is_refused() {
    let bomb = vec![b' '; 3 << 20];
    let lines = |packed| decode(Format::JsonLines, "utf-8", packed);
    for (body, packed) in [
        (gzip(&bomb), Packed::Gzip),
        (zip(&[("a", &bomb, true)], 0), Packed::Zip),
        (zip(&[("a", &bomb[..2 << 20], true), ("b", &bomb[..2 << 20], true)], 0), Packed::Zip),
    ] {
        assert!(body.len() < 10_000);
        let fault = read(&body, &lines(packed), 2 << 20).unwrap_err().fault("UTF-8");
        assert_eq!(fault.code, Code::UnpackedTooLarge);
        assert!(!matches!(read(&body, &lines(packed), 8 << 20), Err(Trouble::TooLarge)));
    }
}

#[test]
fn a_row_without_an_end_does_not_fill_memory() {
    let endless = [b"id\n\"".to_vec(), vec![b'x'; 9 << 20]].concat();
    assert!(matches!(read(&endless, &decode(csv(), "utf-8", Packed::No), ROOM), Err(Trouble::Overlong(_))));
    let endless = [b"[\"".to_vec(), vec![b'x'; 20 << 20]].concat();
    assert!(matches!(read(&endless, &Decode::PLAIN, ROOM), Err(Trouble::Overlong(_))));
    assert!(matches!(
        read(&vec![b'x'; 20 << 20], &decode(Format::JsonLines, "utf-8", Packed::No), ROOM),
        Err(Trouble::Overlong(_))
    ));
}

#[test]
fn a_place_is_found_again_by_its_count() {
    let text: String = std::iter::once("id\n".to_owned()).chain((0..100).map(|id| format!("{id}\n"))).collect();
    let open = || {
        Records::open(
            Body::Memory(text.clone().into()),
            &decode(csv(), "utf-8", Packed::No),
            &Path::whole(),
            ROOM,
            false,
        )
        .unwrap()
    };
    for place in [0, 1, 50, 99, 100] {
        let mut records = open();
        assert!(records.skip_to(place).unwrap());
        let piece = records.next(Most { records: 1, bytes: 1 << 20 }).unwrap();
        let expected = if place < 100 { format!(r#"[{{"id":"{place}"}}]"#) } else { "[]".to_owned() };
        assert_eq!(piece.text, expected);
    }
    assert!(!open().skip_to(101).unwrap());
}

#[test]
fn a_broken_row_that_may_hold_personal_fields_shows_its_line_and_nothing_else() {
    let body = Body::Memory(Bytes::from_static(b"id,email\nme@planted.example\n"));
    let mut records = Records::open(body, &decode(csv(), "utf-8", Packed::No), &Path::whole(), ROOM, true).unwrap();
    let piece = records.next(Most::PIECE).unwrap();
    assert_eq!(piece.text, r#"[{"line":2}]"#);
    assert!(!piece.broken[0].1.message.contains("planted"), "{}", piece.broken[0].1.message);
}
