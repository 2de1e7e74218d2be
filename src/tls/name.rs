//! The name that a certificate gives its owner.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// A longer name is cut.
const LONGEST: usize = 128;

/// The common name of a certificate's subject, cut to 128 bytes; `None` if it has none.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().last()?;
    let name = name.as_str().ok()?;
    Some(name[..name.floor_char_boundary(LONGEST)].to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn named(name: Option<DnValue>) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["other.example.org".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_however_it_is_written() {
        let utf8 = DnValue::Utf8String("kube-apiserver-ä".into());
        assert_eq!(common_name(&named(Some(utf8))).as_deref(), Some("kube-apiserver-ä"));
        let printable = DnValue::PrintableString("kube-apiserver".try_into().unwrap());
        assert_eq!(common_name(&named(Some(printable))).as_deref(), Some("kube-apiserver"));
        let long = DnValue::Utf8String("ä".repeat(100));
        assert_eq!(common_name(&named(Some(long))).map(|name| name.len()), Some(128));
        assert_eq!(common_name(&named(None)), None);
        assert_eq!(common_name(b"no certificate"), None);
    }
}
