//! The descriptors by which Envoy's messages are shown to people, reduced to those that are emitted.
//!
//! All of Envoy's descriptors are megabytes that every binary would carry; what Tombolo emits is a fraction.

mod roots;

use crate::{generated::Generated, workspace};
use anyhow::{Context as _, Result};
use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto, FieldOptions, FileDescriptorProto,
    FileDescriptorSet, MessageOptions,
};
use std::collections::{BTreeMap, BTreeSet};

/// `crates/proto/src/descriptors.bin`, as it should be.
pub(crate) fn file() -> Result<Generated> {
    let metadata = workspace::metadata()?;
    let manifest = &workspace::package(&metadata, "envoy-types")?.manifest_path;
    let path = manifest.with_file_name("src").join("generated/types.bin");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read Envoy's descriptors at {path}"))?;
    let all = FileDescriptorSet::decode(&*bytes).context("Envoy's descriptors do not decode")?;
    Ok(Generated {
        path: "crates/proto/src/descriptors.bin".into(),
        content: reduce(&all, roots::EMITTED)?.encode_to_vec(),
        command: "cargo xtask descriptors",
    })
}

/// The files of `set` with those top-level types only that the `roots` need, in a deterministic order: a file comes after
/// the files that it imports.
fn reduce(set: &FileDescriptorSet, roots: &[&str]) -> Result<FileDescriptorSet> {
    let index = Index::new(set);
    let needed = index.closure(roots)?;
    let mut files: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
    for mut file in set.file.iter().cloned() {
        let package = file.package().to_owned();
        let keep = |name: &str| needed.contains(&qualify(&package, name));
        file.message_type.retain(|m| keep(m.name()));
        file.enum_type.retain(|e| keep(e.name()));
        if !file.message_type.is_empty() || !file.enum_type.is_empty() {
            file.dependency = index.imports(&file)?;
            strip(&mut file);
            files.insert(file.name().to_owned(), file);
        }
    }
    Ok(FileDescriptorSet { file: in_order(files) })
}

/// Which file and which top-level type every type belongs to.
struct Index<'a> {
    types: BTreeMap<String, Home<'a>>,
}

/// Where a type is defined.
struct Home<'a> {
    file: &'a str,
    /// The full name of the top-level type that holds it.
    top: String,
    /// The top-level type, where it is a message.
    message: Option<&'a DescriptorProto>,
}

impl<'a> Index<'a> {
    fn new(set: &'a FileDescriptorSet) -> Self {
        let mut types = BTreeMap::new();
        for file in &set.file {
            for message in &file.message_type {
                let top = qualify(file.package(), message.name());
                for name in names(message, &top) {
                    types.insert(name, Home { file: file.name(), top: top.clone(), message: Some(message) });
                }
            }
            for name in file.enum_type.iter().map(|e| qualify(file.package(), e.name())) {
                types.insert(name.clone(), Home { file: file.name(), top: name, message: None });
            }
        }
        Self { types }
    }

    fn home(&self, name: &str) -> Result<&Home<'a>> {
        self.types.get(name).with_context(|| format!("no message or enum is named {name}"))
    }

    /// The top-level types that the roots are or hold, at any depth.
    fn closure(&self, roots: &[&str]) -> Result<BTreeSet<String>> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<String> = roots.iter().map(|&r| r.to_owned()).collect();
        while let Some(name) = open.pop() {
            let home = self.home(&name)?;
            if needed.insert(home.top.clone()) {
                open.extend(home.message.into_iter().flat_map(references));
            }
        }
        Ok(needed)
    }

    /// The other files that this one's types refer to.
    fn imports(&self, file: &FileDescriptorProto) -> Result<Vec<String>> {
        let mut imports = BTreeSet::new();
        for name in file.message_type.iter().flat_map(references) {
            imports.insert(self.home(&name)?.file.to_owned());
        }
        imports.remove(file.name());
        Ok(imports.into_iter().collect())
    }
}

fn qualify(package: &str, name: &str) -> String {
    if package.is_empty() { name.to_owned() } else { format!("{package}.{name}") }
}

/// The full names of a message and of all types defined inside it.
fn names(message: &DescriptorProto, full_name: &str) -> Vec<String> {
    let enums = message.enum_type.iter().map(|e| qualify(full_name, e.name()));
    let nested = message.nested_type.iter().flat_map(|m| names(m, &qualify(full_name, m.name())));
    std::iter::once(full_name.to_owned()).chain(enums).chain(nested).collect()
}

/// The full names of the types of a message's fields, and of the fields of the messages defined inside it.
fn references(message: &DescriptorProto) -> Vec<String> {
    let own = message.field.iter().filter_map(|f| f.type_name.as_deref());
    let own = own.map(|name| name.trim_start_matches('.').to_owned());
    own.chain(message.nested_type.iter().flat_map(references)).collect()
}

/// Drops what is not needed to render a message: comments, services, extensions, and options but for map entries.
fn strip(file: &mut FileDescriptorProto) {
    file.source_code_info = None;
    file.options = None;
    file.service.clear();
    file.extension.clear();
    file.public_dependency.clear();
    file.weak_dependency.clear();
    file.message_type.iter_mut().for_each(strip_message);
    file.enum_type.iter_mut().for_each(strip_enum);
}

fn strip_message(message: &mut DescriptorProto) {
    message.extension.clear();
    message.options = message
        .options
        .take()
        .filter(MessageOptions::map_entry)
        .map(|_| MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    message.field.iter_mut().for_each(strip_field);
    message.enum_type.iter_mut().for_each(strip_enum);
    message.nested_type.iter_mut().for_each(strip_message);
}

fn strip_field(field: &mut FieldDescriptorProto) {
    let packed = field.options.take().and_then(|options| options.packed);
    field.options = packed.map(|packed| FieldOptions { packed: Some(packed), ..FieldOptions::default() });
}

fn strip_enum(r#enum: &mut EnumDescriptorProto) {
    let alias = r#enum.options.take().and_then(|options| options.allow_alias);
    r#enum.options = alias.map(|alias| EnumOptions { allow_alias: Some(alias), ..EnumOptions::default() });
    r#enum.value.iter_mut().for_each(|value| value.options = None);
}

/// Imported files first, otherwise by name.
fn in_order(mut files: BTreeMap<String, FileDescriptorProto>) -> Vec<FileDescriptorProto> {
    let mut ordered = Vec::with_capacity(files.len());
    while let Some(name) = files.keys().next().cloned() {
        visit(&name, &mut files, &mut ordered);
    }
    ordered
}

fn visit(name: &str, files: &mut BTreeMap<String, FileDescriptorProto>, ordered: &mut Vec<FileDescriptorProto>) {
    let Some(file) = files.remove(name) else { return };
    for import in &file.dependency {
        visit(import, files, ordered);
    }
    ordered.push(file);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, fields: &[&str]) -> DescriptorProto {
        let field = |name: &&str| FieldDescriptorProto {
            type_name: Some(format!(".{name}")),
            options: Some(FieldOptions { deprecated: Some(true), ..FieldOptions::default() }),
            ..FieldDescriptorProto::default()
        };
        DescriptorProto {
            name: Some(name.to_owned()),
            field: fields.iter().map(field).collect(),
            ..DescriptorProto::default()
        }
    }

    fn source(package: &str, imports: &[&str], messages: Vec<DescriptorProto>) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(format!("{package}.proto")),
            package: Some(package.to_owned()),
            dependency: imports.iter().map(|&i| i.to_owned()).collect(),
            message_type: messages,
            ..FileDescriptorProto::default()
        }
    }

    fn set() -> FileDescriptorSet {
        let a = source("a", &["b.proto", "c.proto"], vec![message("Root", &["b.Used"]), message("Other", &["c.Far"])]);
        let b = source("b", &[], vec![message("Used", &[]), message("Unused", &[])]);
        let c = source("c", &[], vec![message("Far", &[])]);
        FileDescriptorSet { file: vec![a, b, c] }
    }

    #[test]
    fn only_what_the_roots_hold_is_kept() {
        let reduced = reduce(&set(), &["a.Root"]).unwrap();
        let kept: Vec<_> =
            reduced.file.iter().flat_map(|f| f.message_type.iter().map(|m| qualify(f.package(), m.name()))).collect();
        assert_eq!(kept, ["b.Used", "a.Root"], "imported files come first");
        assert_eq!(reduced.file[1].dependency, ["b.proto"], "imports that nothing needs are gone");
        assert_eq!(reduced.file[1].message_type[0].field[0].options, None);
    }

    #[test]
    fn a_root_that_does_not_exist_is_named() {
        let error = reduce(&set(), &["a.Root", "a.Misspelt"]).unwrap_err();
        assert!(error.to_string().contains("a.Misspelt"), "{error}");
    }

    #[test]
    fn the_file_is_up_to_date() {
        crate::generated::settle(&[file().unwrap()], true).unwrap();
    }
}
