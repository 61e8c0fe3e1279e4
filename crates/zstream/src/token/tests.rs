//! Tokens that OpenZFS made, tokens that are made here, and tokens that are wrong.

use proptest::prelude::*;

use super::*;

/// Made by OpenZFS 2.3.2's kernel, where a full receive and an incremental one were cut.
const FULL: &str = "1-9491d1488-b0-789c636064000310a500c4ec50360710e72765a52697303030439460caa7a515a796806498e0f26c48\
                    f2499525a9c540da42980babfe92fcf4d2cc140686175bae8b7cb81b7113599e132c9f97989bcac050a09f56ec90\
                    087103004d251520";
const INCREMENTAL: &str = "1-ef3eec5a7-110-789c636064000310a501c49c50360710a715e5e7a69766a63040c18b2dd7453edc8db8a90064\
                           b323a9cb4fca4a4d2e61606085aac3904f4b2b4e2d01c988c0e5d990e4932a4b528b81f4045931acfa4bf221\
                           ae50f9a82251df55cf8c2ccf0996cf4bcc4d656028d04f2b764862609080ea83f92b35372935253f1b6c2e3792\
                           78727e6e41516a7131500a0e0031902380";

#[test]
fn tokens_of_openzfs_are_read() {
    let full = ResumeToken {
        object: 3,
        offset: 131_072,
        bytes: 660_280,
        to_guid: 15_661_511_727_392_470_248,
        to_name: "p/fs@a".to_owned(),
        ..ResumeToken::default()
    };
    assert_eq!(ResumeToken::decode(FULL), Ok(full));
    let incremental = ResumeToken {
        from_guid: Some(15_661_511_727_392_470_248),
        object: 5,
        offset: 1_310_720,
        bytes: 1_449_360,
        to_guid: 252_072_382_626_591_012,
        to_name: "p/fs@b".to_owned(),
        embedded: true,
        compressed: true,
        ..ResumeToken::default()
    };
    assert_eq!(ResumeToken::decode(INCREMENTAL), Ok(incremental));
}

/// What `zstream token` printed of it.
#[test]
fn a_token_shows_as_zstream_shows_it() {
    assert_eq!(
        unpack(INCREMENTAL).unwrap().dump(5).to_string(),
        "     fromguid: 15661511727392470248\n     object: 5\n     offset: 1310720\n     bytes: 1449360\n     \
         toguid: 252072382626591012\n     toname: 'p/fs@b'\n     embedok\n     compressok\n"
    );
}

#[test]
fn the_list_in_a_token_is_packed_as_openzfs_packs_it() {
    let packed = |token: &str| {
        let payload = from_hexadecimal(token.rsplit('-').next().unwrap()).unwrap();
        inflate(&payload, if token == FULL { 0xb0 } else { 0x110 }).unwrap()
    };
    for token in [FULL, INCREMENTAL] {
        let again = ResumeToken::decode(token).unwrap().encode();
        assert_eq!(packed(token), {
            let payload = from_hexadecimal(again.rsplit('-').next().unwrap()).unwrap();
            inflate(&payload, u64_from_usize(packed(token).len())).unwrap()
        });
    }
}

#[test]
fn what_is_wrong_is_said_as_openzfs_says_it() {
    let error = |token: &str| unpack(token).unwrap_err().to_string();
    assert_eq!(error(""), "resume token is corrupt (invalid format)");
    assert_eq!(error("1-2-3"), "resume token is corrupt (invalid format)");
    assert_eq!(error("1-x-3-78"), "resume token is corrupt (invalid format)");
    assert_eq!(error("2-1-1-78"), "resume token is corrupt (invalid version 2)");
    assert_eq!(
        error("1-1-1-78é"),
        "resume token is corrupt (payload is not hex-encoded)"
    );
    assert_eq!(
        error("1-1-1-789"),
        "resume token is corrupt (payload is not hex-encoded)"
    );
    assert_eq!(
        error("1-1-1-789c"),
        "resume token is corrupt (incorrect checksum)"
    );
    assert_eq!(
        error("1-0-1-789c"),
        "resume token is corrupt (decompression failed)"
    );
    let longer = FULL.replacen("-b0-", "-b1-", 1);
    assert_eq!(error(&longer), "resume token is corrupt (decompression failed)");
    let huge = FULL.replacen("-b0-", "-ffffffffffffffff-", 1);
    assert_eq!(error(&huge), "resume token is corrupt (decompression failed)");
    let cut = &FULL[..FULL.len() - 2];
    assert!(error(cut).contains("corrupt"));
    assert!(error(&pack(&NvList::new()).replacen("789c", "789d", 1)).contains("checksum"));
    assert_eq!(
        ResumeToken::decode(&pack(&NvList::new())),
        Err(TokenError::Lacks("object"))
    );
}

proptest! {
    #[test]
    fn tokens_survive(
        numbers: [u64; 4],
        from_guid: Option<u64>,
        to_name in "[a-z]{1,8}(/[a-z]{1,8}){0,3}@[a-z]{1,8}",
        flags: [bool; 5],
        guids in proptest::option::of(proptest::collection::vec(any::<u64>(), 1..50)),
    ) {
        let [object, offset, bytes, to_guid] = numbers;
        let token = ResumeToken {
            from_guid,
            object,
            offset,
            bytes,
            to_guid,
            to_name,
            large_blocks: flags[0],
            embedded: flags[1],
            compressed: flags[2],
            raw: flags[3],
            saved: flags[4],
            redact_snapshots: guids.clone(),
            bookmark_redact_snapshots: guids,
        };
        prop_assert_eq!(ResumeToken::decode(&token.encode()), Ok(token));
    }

    #[test]
    fn any_text_is_a_token_or_an_error(text in "[0-9a-f]{0,3}-[0-9a-f]{0,4}-[0-9a-f]{0,4}-(78)?[0-9a-f]{0,40}") {
        let _ = unpack(&text);
    }
}
