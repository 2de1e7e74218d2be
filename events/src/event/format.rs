//! Recognises logs that hold no audit events, names their format, and says which command converts them or where the
//! right file is.

use super::frame;

/// The format of such a file. `FILE` in [`Format::way_out`] stands for its path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Text in UTF-16.
    Utf16,
    /// A ZIP archive.
    Zip,
    /// A tar archive.
    Tar,
    /// Compressed by something that the agent cannot decompress.
    Packed,
    /// Audit events, each over several lines.
    PrettyEvents,
    /// The inside of an audit event that stands over several lines.
    PrettyBetween,
    /// An `EventList` over several lines.
    PrettyList,
    /// An export of CloudWatch over several lines.
    PrettyCloudWatch,
    /// Other JSON over several lines.
    PrettyOther,
    /// A web server's access log.
    AccessLog,
    /// The Linux kernel's audit log (auditd).
    Auditd,
    /// The audit log of Vault or `OpenBao`.
    Vault,
    /// Rancher's own audit log.
    Rancher,
    /// A cloud provider's audit log.
    CloudAudit,
    /// Events of the API group `v1` or `events.k8s.io`, which are no audit events.
    CoreEvents,
    /// Other objects of Kubernetes.
    KubernetesObjects,
    /// Log messages of a Kubernetes component (klog).
    ServerMessages,
    /// XML or HTML.
    Markup,
    /// YAML.
    Yaml,
    /// Other JSON.
    Json,
    /// Other text.
    Text,
    /// Neither text nor a known format.
    Binary,
}

impl Format {
    /// The format by magic bytes, whatever lines follow.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let begins = |magic: &[&[u8]]| magic.iter().any(|magic| bytes.starts_with(magic));
        let zeros =
            |from: usize| bytes.iter().skip(from).step_by(2).take(16).all(|byte| *byte == 0);
        let two = bytes.len() >= 32 && (zeros(0) != zeros(1));
        if begins(&[b"\xff\xfe", b"\xfe\xff"]) || two {
            Some(Self::Utf16)
        } else if begins(&[b"PK\x03\x04", b"PK\x05\x06"]) {
            Some(Self::Zip)
        } else if bytes.get(257..262) == Some(b"ustar") {
            Some(Self::Tar)
        } else if begins(&[b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"])
        {
            Some(Self::Packed)
        } else {
            None
        }
    }

    /// The format of a text in which no line holds an event.
    pub fn of_text(text: &[u8]) -> Self {
        let text = &text[frame::leading(text)..];
        let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let first =
            lines.find(|line| !line.is_empty() && !frame::is_passed_over(line)).unwrap_or_default();
        let whole = crate::json::members(first, 0, |_, _| {}).is_some();
        if !whole && (has(b"\n{") || has(b"\n ") || has(b"\n\t") || has(b"\n[")) && has(b"\":") {
            return if has(b"\"logStreamName\"") || has(b"\"message\": \"{\\\"") {
                Self::PrettyCloudWatch
            } else if has(b"EventList\"") {
                Self::PrettyList
            } else if has(b"audit.k8s.io/") && !matches!(first.first(), Some(b'{' | b'[')) {
                Self::PrettyBetween
            } else if has(b"audit.k8s.io/") {
                Self::PrettyEvents
            } else {
                Self::PrettyOther
            };
        }
        if whole { Self::of_object(first) } else { Self::of_line(first) }
    }

    fn of_object(line: &[u8]) -> Self {
        let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
        let all = |words: &[&[u8]]| words.iter().all(|word| has(word));
        if all(&[b"\"protoPayload\""]) {
            Self::CloudAudit
        } else if all(&[b"\"auditID\"", b"\"requestURI\""]) {
            Self::Rancher
        } else if all(&[b"\"type\"", b"\"request\"", b"\"operation\"", b"\"path\""]) {
            Self::Vault
        } else if all(&[b"\"involvedObject\""]) || all(&[b"\"Event\"", b"\"events.k8s.io/"]) {
            Self::CoreEvents
        } else if all(&[b"\"kind\"", b"\"apiVersion\"", b"\"metadata\""]) {
            Self::KubernetesObjects
        } else {
            Self::Json
        }
    }

    fn of_line(line: &[u8]) -> Self {
        let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
        if line.is_empty() || frame::is_klog(line) {
            Self::ServerMessages
        } else if line.starts_with(b"type=") && has(b"msg=audit(") {
            Self::Auditd
        } else if has(b"\" ") && has(b" HTTP/") {
            Self::AccessLog
        } else if line.starts_with(b"<!") || line.starts_with(b"<html") || line.starts_with(b"<?") {
            Self::Markup
        } else if line.starts_with(b"apiVersion:") || line.starts_with(b"kind:") || line == b"---" {
            Self::Yaml
        } else if line.iter().filter(|byte| byte.is_ascii_control()).count() * 20 > line.len() {
            Self::Binary
        } else {
            Self::Text
        }
    }

    /// The name of the format, as in "this is …".
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf16 => "text in UTF-16",
            Self::Zip => "a zip archive",
            Self::Tar => "a tar archive",
            Self::Packed => "compressed twice, or in a way that cannot be read here",
            Self::PrettyEvents => "audit events written over several lines (pretty-printed JSON)",
            Self::PrettyBetween => {
                "audit events written over several lines, with other lines between them"
            }
            Self::PrettyList => "an EventList written over several lines (pretty-printed JSON)",
            Self::PrettyCloudWatch => {
                "an answer of CloudWatch written over several lines (pretty-printed JSON)"
            }
            Self::PrettyOther => "JSON written over several lines, without audit events",
            Self::AccessLog => "the access log of a web server",
            Self::Auditd => "the audit log of the Linux kernel (auditd)",
            Self::Vault => "the audit log of Vault",
            Self::Rancher => "the API audit log of Rancher",
            Self::CloudAudit => "Cloud Audit Logs of Google, which hold no whole audit event",
            Self::CoreEvents => {
                "Kubernetes events (kubectl get events), which are not audit events"
            }
            Self::KubernetesObjects => "objects of Kubernetes, which are not audit events",
            Self::ServerMessages => "messages of a server (klog), with no audit event among them",
            Self::Markup => "HTML or XML",
            Self::Yaml => "YAML",
            Self::Json => "JSON without an audit event",
            Self::Text => "text without an audit event",
            Self::Binary => "not text",
        }
    }

    /// The command that converts the file, or advice where to look instead.
    pub fn way_out(self) -> &'static str {
        match self {
            Self::Utf16 => "convert it: iconv -f UTF-16 -t UTF-8 FILE",
            Self::Zip => "unpack it: unzip -p FILE",
            Self::Tar => "unpack it: tar xOf FILE",
            Self::Packed => "unpack it first: zstd -dc, xz -dc, bzip2 -dc, gzip -dc or 7z x -so",
            Self::PrettyEvents => "write each event on one line: jq -c . FILE",
            Self::PrettyBetween => {
                "write each event on one line: grep '^[][[:blank:]{}]' FILE | jq -c ."
            }
            Self::PrettyList => "write each event on one line: jq -c '.items[]' FILE",
            Self::PrettyCloudWatch => {
                "write each event on one line: jq -r '.events[].message' FILE, or fetch it so: aws logs filter-log-events --log-group-name NAME --query 'events[].[message]' --output text"
            }
            Self::PrettyOther => "if events are inside, write each on one line with jq -c",
            Self::CloudAudit => {
                "there is nothing to convert: on GKE the events themselves never leave Google"
            }
            Self::Json | Self::Text | Self::ServerMessages => {
                "name the file that --audit-log-path of kube-apiserver writes"
            }
            Self::AccessLog
            | Self::Auditd
            | Self::Vault
            | Self::Rancher
            | Self::CoreEvents
            | Self::KubernetesObjects
            | Self::Markup
            | Self::Yaml
            | Self::Binary => {
                "auditrail ships audit events of kube-apiserver only: name the file that its --audit-log-path writes"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_foreign_log_is_named() {
        let table: [(&str, Format); 16] = [
            (
                "{\n  \"kind\": \"Event\",\n  \"apiVersion\": \"audit.k8s.io/v1\"\n}\n",
                Format::PrettyEvents,
            ),
            (
                "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\n \"level\":\"None\"}\n",
                Format::PrettyEvents,
            ),
            (
                "Nov 21 06:00:00 cp-1 audit\n{\n  \"apiVersion\": \"audit.k8s.io/v1\"\n}\n",
                Format::PrettyBetween,
            ),
            ("{\n  \"kind\": \"EventList\",\n  \"items\": [\n", Format::PrettyList),
            (
                "{\n \"events\": [\n  {\n   \"message\": \"{\\\"kind\\\"\"\n",
                Format::PrettyCloudWatch,
            ),
            ("{\n  \"a\": 1\n}\n", Format::PrettyOther),
            (
                "192.0.2.9 - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1\n",
                Format::AccessLog,
            ),
            ("type=USER msg=audit(1.2:3): pid=1\n", Format::Auditd),
            (
                "{\"type\":\"request\",\"request\":{\"operation\":\"read\",\"path\":\"a\"}}\n",
                Format::Vault,
            ),
            ("{\"auditID\":\"a\",\"requestURI\":\"/v3\"}\n", Format::Rancher),
            ("{\"protoPayload\":{}}\n", Format::CloudAudit),
            (
                "{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"involvedObject\":{}}\n",
                Format::CoreEvents,
            ),
            ("# x\nI0101 00:00:00.000000 1 a.go:1] b\n", Format::ServerMessages),
            ("apiVersion: v1\nkind: Policy\n", Format::Yaml),
            ("{\"kind\": 0}\n", Format::Json),
            ("hello\n", Format::Text),
        ];
        for (text, format) in table {
            assert_eq!(Format::of_text(text.as_bytes()), format, "{text}");
            assert!(!format.name().is_empty() && !format.way_out().is_empty());
        }
        let wide: Vec<u8> =
            "{\"kind\":\"Event\",\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Format::of_bytes(&wide), Some(Format::Utf16));
        assert_eq!(Format::of_bytes(b"PK\x03\x04abc"), Some(Format::Zip));
        assert_eq!(Format::of_bytes(&[&[b'a'; 257][..], b"ustar\0"].concat()), Some(Format::Tar));
        assert_eq!(Format::of_bytes(b"{\"kind\":\"Event\"}"), None);
        assert_eq!(Format::of_bytes(&[0; 400]), None);
    }
}
