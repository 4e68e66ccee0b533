//! Access logs, as the mesh's settings ask for them.

use super::ordered::{Struct, Value};
use prost::{Message, Name as _};
use std::sync::Arc;
use tombolo_api::mesh::{AccessLog, AccessLogFormat};
use tombolo_proto::envoy::{
    envoy::{
        config::{accesslog::v3 as accesslog, core::v3 as core},
        extensions::access_loggers::{file::v3::FileAccessLog, stream::v3::StdoutAccessLog},
    },
    google::protobuf::Any,
};

/// The loggers of a listener: none where the mesh asks for none.
pub(crate) fn access_logs(settings: Option<&AccessLog>) -> Vec<accesslog::AccessLog> {
    settings.map(access_log).into_iter().collect()
}

fn access_log(settings: &AccessLog) -> accesslog::AccessLog {
    let log_format = settings.format.as_ref().map(log_format);
    let (name, type_url, value) = match settings.path.as_deref() {
        // Through the open descriptor: to open /dev/stdout fails where it is a socket, or belongs to another user.
        None | Some("/dev/stdout") => {
            ("envoy.access_loggers.stdout", StdoutAccessLog::type_url(), StdoutLog { log_format }.encode_to_vec())
        }
        Some(path) => {
            let log = FileLog { path: path.to_owned(), log_format };
            ("envoy.access_loggers.file", FileAccessLog::type_url(), log.encode_to_vec())
        }
    };
    accesslog::AccessLog {
        name: name.to_owned(),
        config_type: Some(accesslog::access_log::ConfigType::TypedConfig(Any { type_url, value })),
        ..Default::default()
    }
}

fn log_format(format: &AccessLogFormat) -> Format {
    match format {
        AccessLogFormat::Text(text) => Format { text: Some(line(text)), json: None },
        AccessLogFormat::Json(fields) => {
            let value = |text: &Arc<str>| Value { string: Some(text.to_string()) };
            let fields = fields.iter().map(|(key, text)| (key.to_string(), value(text))).collect();
            Format { text: None, json: Some(Struct { fields }) }
        }
    }
}

/// Envoy ends lines of JSON by itself, but not lines of text.
fn line(text: &str) -> core::DataSource {
    let line = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    core::DataSource { specifier: Some(core::data_source::Specifier::InlineString(line)), ..Default::default() }
}

// === Envoy's messages, with ordered maps ===
//
// As those of `ordered`: they hold its `Struct`.

/// `StdoutAccessLog`
#[derive(Clone, PartialEq, Message)]
struct StdoutLog {
    #[prost(message, optional, tag = "1")]
    log_format: Option<Format>,
}

/// `FileAccessLog`
#[derive(Clone, PartialEq, Message)]
struct FileLog {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(message, optional, tag = "5")]
    log_format: Option<Format>,
}

/// `SubstitutionFormatString`
#[derive(Clone, PartialEq, Message)]
struct Format {
    #[prost(message, optional, tag = "2")]
    json: Option<Struct>,
    #[prost(message, optional, tag = "5")]
    text: Option<core::DataSource>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombolo_proto::envoy::{
        envoy::{
            config::core::v3::substitution_format_string,
            extensions::access_loggers::{file::v3::file_access_log, stream::v3::stdout_access_log},
        },
        google::protobuf,
    };

    fn logger(settings: &AccessLog) -> Any {
        match access_log(settings).config_type {
            Some(accesslog::access_log::ConfigType::TypedConfig(any)) => any,
            None => panic!("a logger has a config"),
        }
    }

    #[test]
    fn json_fields_are_texts_in_the_format_of_the_standard_output() {
        let fields = [("status", "%RESPONSE_CODE%"), ("path", "%PATH%")].map(|(k, v)| (k.into(), v.into()));
        let settings = AccessLog { path: None, format: Some(AccessLogFormat::Json(fields.into())) };
        let any = logger(&settings);
        assert_eq!(any.type_url, StdoutAccessLog::type_url());
        let log = StdoutAccessLog::decode(&*any.value).unwrap();
        let Some(stdout_access_log::AccessLogFormat::LogFormat(format)) = log.access_log_format else {
            panic!("no format")
        };
        let Some(substitution_format_string::Format::JsonFormat(json)) = format.format else { panic!("not json") };
        let kind = protobuf::value::Kind::StringValue("%RESPONSE_CODE%".into());
        assert_eq!(json.fields["status"].kind, Some(kind));
        assert_eq!(json.fields.len(), 2);
        assert_eq!(any, logger(&settings), "same settings, same bytes");
    }

    #[test]
    fn text_goes_to_a_file_one_line_each() {
        let settings =
            AccessLog { path: Some("/tmp/access.log".into()), format: Some(AccessLogFormat::Text("%PATH%".into())) };
        let log = FileAccessLog::decode(&*logger(&settings).value).unwrap();
        assert_eq!(log.path, "/tmp/access.log");
        let Some(file_access_log::AccessLogFormat::LogFormat(format)) = log.access_log_format else {
            panic!("no format")
        };
        let Some(substitution_format_string::Format::TextFormatSource(text)) = format.format else {
            panic!("not text")
        };
        assert_eq!(text.specifier, Some(core::data_source::Specifier::InlineString("%PATH%\n".into())));
    }

    #[test]
    fn no_settings_no_logs() {
        assert!(access_logs(None).is_empty());
    }
}
