//! Which changes of an object of ours are news to its own reconciler: not those of its status, which it writes itself. Were they,
//! an error that is worded otherwise each time would be tried again at once, whatever its backoff.

use kube::{api::DynamicObject, runtime::watcher::Event};
use serde_json::json;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// What was seen of objects, by name: they are in no namespaces.
#[derive(Default)]
pub(super) struct News(HashMap<String, u64>);

impl News {
    /// The object of an event, where that is news. Whatever is listed is: nobody saw what came before.
    pub(super) fn of(&mut self, event: Event<DynamicObject>) -> Option<DynamicObject> {
        match event {
            Event::Init => self.0.clear(),
            Event::InitDone => {}
            Event::InitApply(object) => {
                self.0.insert(name(&object), seen(&object));
                return Some(object);
            }
            Event::Apply(object) => {
                let now = seen(&object);
                return (self.0.insert(name(&object), now) != Some(now)).then_some(object);
            }
            Event::Delete(object) => {
                self.0.remove(&name(&object));
                return Some(object);
            }
        }
        None
    }
}

fn name(object: &DynamicObject) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

/// What is read of an object, and what people touch to have it looked at. The generation stands for the spec.
fn seen(object: &DynamicObject) -> u64 {
    let of = &object.metadata;
    let read = json!([of.uid, of.generation, of.deletion_timestamp, of.finalizers, of.labels, of.annotations]);
    xxh3_64(read.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_status_is_no_news_and_all_else_is() {
        let object = |metadata: Value, status: &str| -> DynamicObject {
            let mut object = json!({"metadata": {"name": "a", "uid": "1", "generation": 1}, "status": status});
            object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
            serde_json::from_value(object).unwrap()
        };
        let mut news = News::default();
        let mut is_news = |event| news.of(event).is_some();
        let same = || object(json!({}), "a");
        assert!(is_news(Event::InitApply(same())));
        assert!(!is_news(Event::Apply(object(json!({"resourceVersion": "2", "managedFields": []}), "b"))));
        for change in [
            json!({"generation": 2}),
            json!({"uid": "2"}),
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            json!({"finalizers": ["f"]}),
            json!({"labels": {"a": "b"}}),
            json!({"annotations": {"a": "b"}}),
        ] {
            assert!(is_news(Event::Apply(object(change.clone(), "a"))), "{change}");
            assert!(is_news(Event::Apply(same())), "it is as before {change}");
        }
        assert!(is_news(Event::Delete(same())));
        assert!(is_news(Event::Apply(same())), "it was made anew");
        assert!(!is_news(Event::Init) && is_news(Event::InitApply(same())), "it is listed again");
    }
}
