//! Every suite there and back, and what happens to bytes that are no dnodes.

use proptest::prelude::*;

use super::*;
use crate::Endian;

fn key(suite: Suite) -> Key {
    Key::new(suite, 7, &[3; 32], &[5; 64])
}

/// A block of two dnodes: one with an encrypted bonus and a spill pointer, one large with a readable bonus.
fn dnodes() -> Vec<u8> {
    let mut block = vec![0; 2048];
    for (at, fields) in [
        (0, [(0, 19), (3, 1), (4, 44), (7, 0b111), (10, 8), (12, 0)]),
        (512, [(0, 19), (3, 2), (4, 17), (7, 0b11), (10, 8), (12, 1)]),
    ] {
        for (field, value) in fields {
            block[at + field] = value;
        }
    }
    for (index, byte) in block[192..384].iter_mut().enumerate() {
        *byte = index.to_le_bytes()[0];
    }
    // Pointers that are no holes, whose properties would not count.
    block[64 + 8] = 1;
    block[384 + 8] = 1;
    block[900] = 1;
    block
}

#[test]
fn every_suite_there_and_back() {
    for suite in Suite::ALL {
        let data_key = key(suite).data_key(KeySalt([1; 8]));
        for plain in [Vec::new(), b"a block".to_vec(), vec![9; 131_072]] {
            let mut block = plain.clone();
            let mac = data_key.encrypt(Iv([2; 12]), &mut block).unwrap();
            assert!(plain.is_empty() || block != plain);

            let mut back = block.clone();
            data_key.decrypt(Iv([2; 12]), mac, &mut back).unwrap();
            assert!(back == plain, "{suite}");

            let other_salt = key(suite).data_key(KeySalt([2; 8]));
            for outcome in [
                data_key.decrypt(Iv([3; 12]), mac, &mut block.clone()),
                data_key.decrypt(Iv([2; 12]), Mac([0; 16]), &mut block.clone()),
                other_salt.decrypt(Iv([2; 12]), mac, &mut block.clone()),
            ] {
                assert_eq!(outcome, Err(CryptError::Authentication), "{suite}");
            }
        }
    }
}

#[test]
fn what_does_not_verify_is_not_left_behind() {
    for suite in Suite::ALL {
        let data_key = key(suite).data_key(KeySalt([1; 8]));
        let mut block = vec![9; 512];
        data_key.encrypt(Iv([2; 12]), &mut block).unwrap();
        assert!(data_key.decrypt(Iv([2; 12]), Mac([0; 16]), &mut block).is_err());
        assert!(block == [0; 512]);
    }
}

#[test]
fn ccm_counts_with_three_bytes() {
    let mut block = vec![0; 1 << 24];
    let mut encrypt = |suite| {
        key(suite)
            .data_key(KeySalt([1; 8]))
            .encrypt(Iv([2; 12]), &mut block)
    };
    assert_eq!(
        encrypt(Suite::Aes256Ccm),
        Err(CryptError::TooLong { length: 1 << 24 })
    );
    assert!(encrypt(Suite::Aes256Gcm).is_ok());
}

#[test]
fn of_dnodes_only_the_encrypted_bonus_changes() {
    for suite in Suite::ALL {
        let data_key = key(suite).data_key(KeySalt([1; 8]));
        let plain = dnodes();
        let mut block = plain.clone();
        let mac = data_key
            .encrypt_dnodes(Iv([2; 12]), &mut block, Endian::Little)
            .unwrap();
        for (at, (before, after)) in plain.iter().zip(&block).enumerate() {
            assert!(before == after || (192..384).contains(&at), "byte {at}");
        }
        assert_ne!(block[192..384], plain[192..384]);

        // Space used, and the flags about accounting, are the receiver's own.
        let mut received = block.clone();
        received[7] = 0b100;
        received[24..32].fill(0xee);
        data_key
            .decrypt_dnodes(Iv([2; 12]), mac, &mut received, Endian::Little)
            .unwrap();
        assert_eq!(received[192..384], plain[192..384]);

        // Everything else is authenticated: type, levels, bonus lengths, padding, pointers, the readable bonus.
        for at in [
            1,
            2,
            6,
            13,
            16,
            40,
            64 + 48,
            64 + 120,
            384 + 112,
            515,
            520,
            900,
            1600,
        ] {
            let mut altered = block.clone();
            altered[at] ^= 1;
            assert!(
                data_key
                    .decrypt_dnodes(Iv([2; 12]), mac, &mut altered, Endian::Little)
                    .is_err(),
                "byte {at} of {suite}"
            );
        }
    }
}

#[test]
fn a_dnode_must_fit_its_place() {
    let data_key = key(Suite::ON).data_key(KeySalt([1; 8]));
    let encrypt = |alter: fn(&mut [u8])| {
        let mut block = dnodes();
        alter(&mut block);
        data_key.encrypt_dnodes(Iv([2; 12]), &mut block, Endian::Little)
    };
    assert_eq!(
        encrypt(|block| block[1536 + 12] = 1),
        Err(CryptError::Dnode {
            offset: 1536,
            needed: 1024,
            available: 512
        })
    );
    assert_eq!(
        encrypt(|block| block[3] = 4),
        Err(CryptError::Dnode {
            offset: 0,
            needed: 64 + 4 * 128 + 128,
            available: 512
        })
    );
    assert_eq!(
        data_key.encrypt_dnodes(Iv([2; 12]), &mut [0; 700], Endian::Little),
        Err(CryptError::BlockLength {
            kind: "block of dnodes",
            length: 700
        })
    );
}

#[test]
fn equal_blocks_get_equal_parameters() {
    let key = key(Suite::ON);
    assert_eq!(key.dedup_parameters(b"block"), key.dedup_parameters(b"block"));
    assert_ne!(key.dedup_parameters(b"block"), key.dedup_parameters(b"blocK"));
}

#[test]
fn objset_codes_survive_the_other_byte_order() {
    let mut little = vec![0; 4096];
    little[..4].copy_from_slice(&[10, 17, 1, 3]);
    little[8..12].copy_from_slice(&[32, 0, 1, 2]);
    little[16] = 9;
    little[704] = 2;
    little[712] = 7;
    little[1024..1028].copy_from_slice(&[39, 17, 1, 1]);
    let mut big = little.clone();
    for word in [8..10, 10..12, 16..24, 704..712, 712..720] {
        big[word].reverse();
    }
    let key = key(Suite::ON);
    let macs = key.objset_macs(&little, Endian::Little).unwrap();
    assert_eq!(key.objset_macs(&big, Endian::Big).unwrap(), macs);
    assert_ne!(macs.local, [0; 32]);

    set_objset_macs(&mut little, macs).unwrap();
    assert_eq!(objset_macs_in(&little), Ok(macs));
    assert_eq!(key.verify_objset(&little, Endian::Little), Ok(()));
    little[1024 + 1] ^= 1;
    assert_eq!(
        key.verify_objset(&little, Endian::Little),
        Err(CryptError::Authentication)
    );
    // Without accounting there is no local code to be wrong.
    little[712] = 6;
    assert_eq!(key.verify_objset(&little, Endian::Little), Ok(()));
    little[2] ^= 1;
    assert_eq!(
        key.verify_objset(&little, Endian::Little),
        Err(CryptError::Authentication)
    );
    assert!(key.objset_macs(&little[..1000], Endian::Little).is_err());
    assert_eq!(
        key.objset_macs(&little[..1024], Endian::Little).unwrap().local,
        [0; 32]
    );
}

proptest! {
    #[test]
    fn no_bytes_do_harm(
        mut block in proptest::collection::vec(any::<u8>(), 0..20).prop_flat_map(|head| {
            (Just(head), prop_oneof![Just(512_usize), Just(1024), Just(2048), Just(4096), 0..700_usize])
                .prop_map(|(mut head, len)| { head.resize(len, 0x5a); head })
        }),
        big: bool,
    ) {
        let endian = if big { Endian::Big } else { Endian::Little };
        let key = key(Suite::ON);
        let _ = key.verify_objset(&block, endian);
        let _ = verify_indirect_mac(&block, endian, Mac::default());
        let data_key = key.data_key(KeySalt::default());
        let _ = data_key.decrypt_dnodes(Iv::default(), Mac::default(), &mut block, endian);
    }
}
