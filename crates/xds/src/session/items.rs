//! What is to be sent, or on its way, by name.
//!
//! A client that comes without anything is sent everything, and until it answers, all of that is on its way. When a control plane
//! starts, so it is with all clients at once. So of resources that a client was without, only the resource is kept: a word each.

use super::channel::Base;
use hashbrown::HashTable;
use std::{
    cell::OnceCell,
    collections::{HashMap, hash_map},
    hash::{BuildHasher, RandomState},
    iter::Chain,
    sync::Arc,
    time::Instant,
    vec,
};
use tombolo_proto::Resource;

/// Items by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    /// `None` nearly always.
    news: Option<Box<News>>,
    /// No name is in both.
    others: HashMap<Arc<str>, Item>,
}

/// Resources that became due in the same moment to a client that was without them.
#[derive(Clone, Debug)]
struct News {
    /// In the order of the index, which is how they lie in memory. `None` is one that was taken out.
    resources: Vec<Option<Arc<Resource>>>,
    left: usize,
    /// Where each name is. Made when the first name is looked for: mostly, none is.
    places: OnceCell<Places>,
    base: Base,
    force: bool,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Places {
    places: HashTable<u32>,
    hasher: RandomState,
}

/// Something to send.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// What the client is to hold; `None` is nothing.
    pub(crate) want: Option<Arc<Resource>>,
    /// What it holds, once it has answered everything sent so far.
    pub(crate) base: Base,
    /// Sent even if it holds just that: it asked, or Envoy waits for it.
    pub(crate) force: bool,
    /// When it was queued.
    pub(crate) since: Instant,
}

/// An item to look at: see [`Item`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) want: Option<&'a Arc<Resource>>,
    pub(crate) base: &'a Base,
    pub(crate) force: bool,
    pub(crate) since: Instant,
}

impl Item {
    fn view(&self) -> View<'_> {
        View { want: self.want.as_ref(), base: &self.base, force: self.force, since: self.since }
    }
}

impl View<'_> {
    /// To keep.
    pub(crate) fn item(&self) -> Item {
        Item { want: self.want.cloned(), base: self.base.clone(), force: self.force, since: self.since }
    }
}

impl News {
    fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.iter().flatten()
    }

    fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        let Places { places, hasher } = self.places.get_or_init(|| Places::of(&self.resources));
        let place = places.find(hasher.hash_one(name), |place| is_at(&self.resources, *place, name))?;
        self.resources[*place as usize].as_ref()
    }

    fn take(&mut self, name: &str) -> Option<Arc<Resource>> {
        self.get(name)?;
        let Self { resources, left, places, .. } = self;
        let Places { places, hasher } = places.get_mut()?;
        let entry = places.find_entry(hasher.hash_one(name), |place| is_at(resources, *place, name)).ok()?;
        let (place, _) = entry.remove();
        *left -= 1;
        resources[place as usize].take()
    }

    fn view<'a>(&'a self, resource: &'a Arc<Resource>) -> View<'a> {
        View { want: Some(resource), base: &self.base, force: self.force, since: self.since }
    }
}

impl Places {
    fn of(resources: &[Option<Arc<Resource>>]) -> Self {
        let (mut places, hasher) = (HashTable::with_capacity(resources.len()), RandomState::new());
        let hash = |place: &u32| hasher.hash_one(name_at(resources, *place).unwrap_or_default());
        for (place, _) in (0u32..).zip(resources) {
            places.insert_unique(hash(&place), place, hash);
        }
        Self { places, hasher }
    }
}

fn name_at(resources: &[Option<Arc<Resource>>], place: u32) -> Option<&str> {
    Some(resources[place as usize].as_ref()?.name())
}

fn is_at(resources: &[Option<Arc<Resource>>], place: u32, name: &str) -> bool {
    name_at(resources, place) == Some(name)
}

impl Items {
    /// Resources that a client is without, and that are due from now on; no two of one name. `base` says whether it waits for them.
    pub(crate) fn of_news<'a>(
        resources: impl Iterator<Item = &'a Arc<Resource>>,
        base: Base,
        force: bool,
        since: Instant,
    ) -> Self {
        let resources: Vec<_> = resources.cloned().map(Some).collect();
        let (left, places) = (resources.len(), OnceCell::new());
        let news = News { resources, left, places, base, force, since };
        Self { news: (left > 0).then(|| Box::new(news)), others: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len() + self.news.as_ref().map_or(0, |news| news.left)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn get(&self, name: &str) -> Option<View<'_>> {
        let new = || self.news.as_ref().and_then(|news| Some(news.view(news.get(name)?)));
        self.others.get(name).map(Item::view).or_else(new)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Item> {
        if let Some((name, item)) = self.take_news(name) {
            self.others.insert(name, item);
        }
        self.others.get_mut(name)
    }

    pub(crate) fn insert(&mut self, name: Arc<str>, item: Item) {
        self.take_news(&name);
        self.others.insert(name, item);
    }

    /// The item of this name, which is this one where there was none.
    pub(crate) fn or_insert(&mut self, name: &Arc<str>, item: Item) -> &mut Item {
        let item = self.take_news(name).map_or(item, |(_, known)| known);
        self.others.entry(name.clone()).or_insert(item)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<(Arc<str>, Item)> {
        self.take_news(name).or_else(|| self.others.remove_entry(name))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, View<'_>)> {
        let news = self.news.iter().flat_map(|news| news.resources().map(|r| (r.name(), news.view(r))));
        news.chain(self.others.iter().map(|(name, item)| (name, item.view())))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(name, _)| name)
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.iter().map(|(_, view)| view)
    }

    /// Takes so many out, whichever; all, where there are no more.
    pub(crate) fn take(&mut self, count: usize) -> Self {
        if self.len() <= count {
            return std::mem::take(self);
        }
        let names: Vec<_> = self.names().take(count).cloned().collect();
        names.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// Gives memory back that is not needed any more.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.others.shrink_to_fit();
        self.news.take_if(|news| news.left == 0);
    }

    fn take_news(&mut self, name: &str) -> Option<(Arc<str>, Item)> {
        let news = self.news.as_mut()?;
        let resource = news.take(name)?;
        let item = news.view(&resource).item();
        Some((resource.name().clone(), item))
    }
}

impl Extend<(Arc<str>, Item)> for Items {
    fn extend<T: IntoIterator<Item = (Arc<str>, Item)>>(&mut self, items: T) {
        items.into_iter().for_each(|(name, item)| self.insert(name, item));
    }
}

impl FromIterator<(Arc<str>, Item)> for Items {
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Item)>>(items: T) -> Self {
        Self { news: None, others: items.into_iter().collect() }
    }
}

impl IntoIterator for Items {
    type Item = (Arc<str>, Item);
    type IntoIter = Chain<vec::IntoIter<Self::Item>, hash_map::IntoIter<Arc<str>, Item>>;

    fn into_iter(self) -> Self::IntoIter {
        let item = |news: &News, resource: &Arc<Resource>| (resource.name().clone(), news.view(resource).item());
        let news = self.news.map_or_else(Vec::new, |news| news.resources().map(|r| item(&news, r)).collect());
        news.into_iter().chain(self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use tombolo_proto::{Part, ResourceType};

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u8),
        OrInsert(u8, u8),
        Change(u8, u8),
        Remove(u8),
        Take(usize),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        let (name, content) = (|| 0..12u8, || 0..4u8);
        prop_oneof![
            (name(), content()).prop_map(|(name, content)| Step::Insert(name, content)),
            (name(), content()).prop_map(|(name, content)| Step::OrInsert(name, content)),
            (name(), content()).prop_map(|(name, content)| Step::Change(name, content)),
            name().prop_map(Step::Remove),
            (0..4usize).prop_map(Step::Take),
            Just(Step::Shrink),
        ]
    }

    fn resource(name: u8, content: u8) -> Arc<Resource> {
        let part = Arc::new(Part::from_bytes(vec![0x78, content].into(), Vec::new()));
        Arc::new(Resource::assemble(ResourceType::Cluster, name.to_string(), vec![part]))
    }

    /// Told apart from what is new by its base.
    fn item(name: u8, content: u8, since: Instant) -> Item {
        let want = (content > 0).then(|| resource(name, content));
        Item { want, base: Base::Unknown, force: content > 2, since }
    }

    type Shown = (Option<u128>, String, bool);

    fn shown(view: View<'_>) -> Shown {
        (view.want.map(|r| r.version().0), format!("{:?}", view.base), view.force)
    }

    fn all(items: impl Iterator<Item = (Arc<str>, Item)>) -> BTreeMap<Arc<str>, Shown> {
        items.map(|(name, item)| (name, shown(item.view()))).collect()
    }

    fn check(items: &Items, model: &HashMap<Arc<str>, Item>) -> Result<(), TestCaseError> {
        let expected = all(model.clone().into_iter());
        prop_assert_eq!(&all(items.iter().map(|(name, view)| (name.clone(), view.item()))), &expected);
        prop_assert_eq!(&all(items.clone().into_iter()), &expected);
        prop_assert_eq!((items.len(), items.is_empty()), (model.len(), model.is_empty()));
        for name in (0..12).map(|name: u8| name.to_string()) {
            let known = model.get(&*name).map(|item| shown(item.view()));
            prop_assert_eq!((items.get(&name).map(shown), items.contains(&name)), (known.clone(), known.is_some()));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn news_and_others_are_one_map(news in 0..12u8, steps in proptest::collection::vec(step(), 0..40)) {
            let since = Instant::now();
            let resources: Vec<_> = (0..news).map(|name| resource(name, 1)).collect();
            let mut items = Items::of_news(resources.iter(), Base::Nothing, true, since);
            let new = |r: &Arc<Resource>| Item { want: Some(r.clone()), base: Base::Nothing, force: true, since };
            let mut model: HashMap<Arc<str>, Item> = resources.iter().map(|r| (r.name().clone(), new(r))).collect();
            check(&items, &model)?;
            for step in steps {
                match step {
                    Step::Insert(name, content) => {
                        items.insert(name.to_string().into(), item(name, content, since));
                        model.insert(name.to_string().into(), item(name, content, since));
                    }
                    Step::OrInsert(name, content) => {
                        let (key, new) = (Arc::from(name.to_string()), item(name, content, since));
                        let known = shown(items.or_insert(&key, new.clone()).view());
                        prop_assert_eq!(known, shown(model.entry(key).or_insert(new).view()));
                    }
                    Step::Change(name, content) => {
                        let (ours, other) = (items.get_mut(&name.to_string()), model.get_mut(&*name.to_string()));
                        prop_assert_eq!(ours.is_some(), other.is_some());
                        ours.into_iter().chain(other).for_each(|known| known.want = item(name, content, since).want);
                    }
                    Step::Remove(name) => {
                        let (ours, other) = (items.remove(&name.to_string()), model.remove(&*name.to_string()));
                        prop_assert_eq!(ours.map(|(_, item)| shown(item.view())), other.map(|item| shown(item.view())));
                    }
                    Step::Take(count) => {
                        let before = items.len();
                        let taken = items.take(count);
                        prop_assert_eq!((taken.len(), items.len()), (before.min(count), before - before.min(count)));
                        taken.names().for_each(|name| _ = model.remove(name));
                    }
                    Step::Shrink => items.shrink_to_fit(),
                }
                check(&items, &model)?;
            }
        }
    }
}
