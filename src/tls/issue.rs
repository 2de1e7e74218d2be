//! Makes the certificates of a webhook: one for the receiver, one for the API server. Nobody can make a third one, since
//! the key of their CA is kept nowhere.

use jiff::civil::Date;
use jiff::{ToSpan as _, Zoned};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// Certificates and keys in PEM.
pub(crate) struct IssuedCertificates {
    /// Both others are signed by it.
    pub(crate) ca: String,
    pub(crate) receiver: Issued,
    pub(crate) client: Issued,
}

/// A certificate with its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Years for which the certificates are valid.
pub(crate) const YEARS: i32 = 10;

impl IssuedCertificates {
    /// For a receiver under this host name or address, and a client of this name.
    ///
    /// # Errors
    /// `host` is neither a host name nor an address, or the system has no random numbers.
    pub(crate) fn new(host: &str, client: &str) -> Result<Self, Error> {
        let mut ca = valid(CertificateParams::default());
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        ca.distinguished_name.push(DnType::CommonName, "auditrail webhook");
        let key = KeyPair::generate()?;
        let certificate = ca.self_signed(&key)?.pem();
        let issuer = Issuer::new(ca, key);
        let mut receiver = valid(CertificateParams::new([host.to_owned()])?);
        receiver.distinguished_name.push(DnType::CommonName, "auditrail");
        let mut sender = valid(CertificateParams::default());
        sender.distinguished_name.push(DnType::CommonName, client);
        Ok(Self {
            ca: certificate,
            receiver: issue(receiver, ExtendedKeyUsagePurpose::ServerAuth, &issuer)?,
            client: issue(sender, ExtendedKeyUsagePurpose::ClientAuth, &issuer)?,
        })
    }
}

fn issue(
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Issued, Error> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?.pem();
    Ok(Issued { certificate, key: key.serialize_pem() })
}

/// Valid from yesterday on, since clocks differ.
fn valid(mut params: CertificateParams) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    let today = Zoned::now().date();
    let at = |date: Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = at(today.saturating_sub(1.day()));
    params.not_after = at(today.saturating_add(YEARS.years()));
    params
}
