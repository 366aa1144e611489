//! Hashes of texts with a secret.

use std::{fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringBuilder},
    error::ArrowError,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::naming::hexadecimal;

/// The length of a hash, in hexadecimal digits.
pub(super) const HASH_LENGTH: usize = 64;

/// A secret that texts are hashed with. Its value is never printed.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// `None` if the value is empty, because then anyone could compute the hashes.
    pub fn new(value: &[u8]) -> Option<Self> {
        let keyed = Hmac::new_from_slice(value).ok()?;
        (!value.is_empty()).then_some(Self(keyed))
    }

    /// Makes `digits` the HMAC-SHA-256 of a text, in lower-case hexadecimal digits.
    /// <https://www.rfc-editor.org/rfc/rfc2104>
    pub fn hash(&self, text: &[u8], digits: &mut String) {
        let mut mac = self.0.clone();
        mac.update(text);
        digits.clear();
        digits.extend(hexadecimal(&mac.finalize().into_bytes()));
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The hashes of texts; a null stays null.
pub(crate) fn hashed(texts: &ArrayRef, secret: &Secret) -> Result<ArrayRef, ArrowError> {
    let texts = texts
        .as_string_opt::<i32>()
        .ok_or_else(|| ArrowError::SchemaError("what is hashed was not read as text".to_owned()))?;
    let count = texts.len() - texts.null_count();
    let mut hashed = StringBuilder::with_capacity(texts.len(), count * HASH_LENGTH);
    let mut digits = String::with_capacity(HASH_LENGTH);
    for text in texts {
        match text {
            None => hashed.append_null(),
            Some(text) => {
                secret.hash(text.as_bytes(), &mut digits);
                hashed.append_value(&digits);
            }
        }
    }
    Ok(Arc::new(hashed.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;
    use crate::semantics::stated;

    /// <https://www.rfc-editor.org/rfc/rfc4231#section-4>
    #[test]
    fn vectors_of_rfc_4231() {
        let long_key = [0xaa; 131];
        let counting: Vec<u8> = (1..=25).collect();
        for (key, text, hash) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (&long_key, b"Test Using Larger Than Block-Size Key - Hash Key First", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            (
                &long_key,
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            let mut digits = String::new();
            Secret::new(key).unwrap().hash(text, &mut digits);
            assert_eq!(digits, hash);
        }
        assert!(Secret::new(b"").is_none());
    }

    #[test]
    fn columns() {
        stated(
            "`hash` makes the column a `string`, the HMAC-SHA-256 (RFC 2104) of the bytes of the field's text with the secret's value as the key, in 64 lower-case hexadecimal digits; a null stays null.",
        );
        let secret = Secret::new(b"Jefe").unwrap();
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("what do ya want for nothing?"),
            None,
            Some(""),
            Some("é"),
        ]));
        let hashes = hashed(&texts, &secret).unwrap();
        assert_eq!(
            hashes.as_string::<i32>().iter().collect::<Vec<_>>(),
            [
                Some("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
                None,
                Some("923598ca6d64af2a5dba79dcd021a8a0fe5c5f557519adaaf0ad532d4506dd30"),
                Some("3975291d2d21f4b8e1ef2f4af997a448c91a735d94a54b3c3fea809fceabc497"),
            ]
        );
    }

    #[test]
    fn nothing_shows_a_secret() {
        stated(
            "The value of a secret is in no document, message or log, only its name and its version's id.",
        );
        let secret = Secret::new(b"Jefe").unwrap();
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "Secret Some(\n    Secret,\n)"
        );
    }
}
