//! Takes blocks of encrypted datasets apart.

use zferry_blocks::Endian;
use zferry_blocks::crypt::{
    CryptError, FormatVersion, Iv, Key, KeySalt, Mac, Suite, indirect_mac, verify_indirect_mac,
};

/// Takes `bytes` for a block of dnodes, an objset and an indirect block, in either byte order. What can be encrypted
/// must decrypt to itself.
pub fn crypt(bytes: &[u8]) {
    let key = Key::new(Suite::Aes128Gcm, 1, &[2; 32], &[3; 64]);
    let data_key = key.data_key(KeySalt([4; 8]));
    for endian in [Endian::Little, Endian::Big] {
        let mut block = bytes.to_vec();
        if let Ok(mac) = data_key.encrypt_dnodes(Iv([5; 12]), &mut block, endian) {
            let outcome = data_key.decrypt_dnodes(Iv([5; 12]), mac, &mut block, endian);
            assert_eq!(outcome, Ok(()));
            assert!(block == bytes, "another block came back");
        } else {
            let outcome = data_key.decrypt_dnodes(Iv([5; 12]), Mac::default(), &mut block, endian);
            assert_ne!(
                outcome,
                Err(CryptError::Authentication),
                "what is no block of dnodes is not tried"
            );
        }
        if let Ok(mac) = indirect_mac(bytes, endian, FormatVersion::Zero) {
            assert_eq!(verify_indirect_mac(bytes, endian, mac), Ok(()));
        }
        let _ = key.verify_objset(bytes, endian);
    }
}
