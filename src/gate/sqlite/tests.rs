//! What is no database, or a hostile one. That whole ones are read as SQLite
//! reads them, `suite/databases` shows.

use super::*;

struct Bytes(Vec<u8>);

impl Pages for Bytes {
    fn page(&mut self, number: u32) -> Option<Vec<u8>> {
        let start = (number as usize).checked_sub(1)? * 512;
        Some(self.0.get(start..start + 512)?.to_vec())
    }
}

fn header() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..18].copy_from_slice(&512u16.to_be_bytes());
    (bytes[18], bytes[19], bytes[59]) = (1, 1, 1);
    bytes
}

#[test]
fn a_header_is_read_or_refused() {
    assert!(Header::parse(&header()).is_ok());
    for (at, value) in [(0, b'x'), (16, 3), (19, 3), (20, 200), (59, 4)] {
        let mut bytes = header();
        bytes[at] = value;
        assert_eq!(Header::parse(&bytes), Err(Malformed), "{at}");
    }
    assert_eq!(Header::parse(&header()[..99]), Err(Malformed));
}

/// The first page as a tree's inner page whose only children are these.
fn inner(children: &[u32]) -> Bytes {
    let mut bytes = header();
    bytes[100] = 0x05;
    bytes[104] = (children.len() - 1) as u8;
    for (at, child) in children.iter().enumerate() {
        let place = match at + 1 == children.len() {
            true => 108,
            false => {
                let place = 500 - 8 * at;
                bytes[112 + 2 * at..114 + 2 * at].copy_from_slice(&(place as u16).to_be_bytes());
                place
            }
        };
        bytes[place..place + 4].copy_from_slice(&child.to_be_bytes());
    }
    Bytes(bytes)
}

#[test]
fn a_tree_that_bites_its_tail_comes_to_an_end() {
    for children in [&[1][..], &[1, 1, 1], &[0], &[2], &[u32::MAX, 7]] {
        let mut pages = inner(children);
        let mut database = Database::open(&mut pages).unwrap();
        let read =
            database.newest_first(&Table::schema(), &[0], &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(read, Err(Malformed), "{children:?}");
        assert_eq!(database.row(&Table::schema(), 1, &[0]), Err(Malformed), "{children:?}");
        assert_eq!(database.table("a"), None);
    }
}

#[test]
fn rows_that_claim_too_much_cost_themselves() {
    // One cell: its size, its row id, its record.
    let check = |cell: &[u8], expected: Option<Vec<Value>>| {
        let mut bytes = header();
        (bytes[100], bytes[104]) = (0x0d, 1);
        bytes[108..110].copy_from_slice(&400u16.to_be_bytes());
        bytes[400..400 + cell.len()].copy_from_slice(cell);
        let mut pages = Bytes(bytes);
        let mut database = Database::open(&mut pages).unwrap();
        let mut found = None;
        let read = database.newest_first(&Table::schema(), &[0, 1], &mut |_, row| {
            found = Some(row);
            ControlFlow::Continue(())
        });
        assert_eq!((read, database.skipped), (Ok(()), u64::from(expected.is_none())), "{cell:?}");
        assert_eq!(found, expected, "{cell:?}");
    };
    let text = |text: &str| Value::Text(text.to_owned());
    check(&[4, 7, 2, 17, b'h', b'i'], Some(vec![text("hi"), Value::Null]));
    check(&[4, 7, 3, 1, 9, 0xfe], Some(vec![Value::Integer(-2), Value::Integer(1)]));
    check(&[4, 7, 2, 19, b'h', b'i'], None);
    check(&[4, 7, 9, 17, b'h', b'i'], None);
    check(&[4, 7, 2, 10, b'h', b'i'], None);
    // More than there can be, and pages that are not there.
    check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7, 2, 17], None);
    // What is asked for stands here, whatever the rest is said to be.
    let blank = || Some(vec![text("\0\0"), Value::Null]);
    check(&[0xbf, 0xff, 0xff, 0xff, 0x7f, 7, 2, 17], blank());
    check(&[0xbf, 0xff, 0xff, 0xff, 0x7f, 7, 6, 0xbf, 0xff, 0xff, 0xff, 0x7f], None);
    check(&[0x8f, 0x50, 7, 3, 0x8f, 0x53, 0], None);
}

#[test]
fn numbers_have_one_to_nine_bytes() {
    assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
    assert_eq!(varint(&[0x81, 0x00], 0), Some((128, 2)));
    assert_eq!(varint(&[0xff; 9], 0), Some((-1, 9)));
    assert_eq!(varint(&[0xff; 8], 0), None);
    assert_eq!(varint(&[], usize::MAX), None);
}
