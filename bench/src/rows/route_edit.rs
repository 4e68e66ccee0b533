//! Row a: one of 5,000 routes edited, against all of them translated.

use super::{Measured, RowId};
use anyhow::ensure;
use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};
use tombolo_bench::{
    clock::thread_cpu_time,
    fixture::{self, Routes},
    report::{Pairs, median},
};
use tombolo_controlplane::{Edit, Update, World};
use tombolo_core::SourceId;
use tombolo_translate::Engine;

const ROUTES: usize = 5000;
/// Edits in a pair, each of another route: the pair counts their median.
const EDITS: usize = 100;
/// Coprime to the number of routes.
const STRIDE: usize = 7919;

pub(super) fn measure() -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let rows = [(1, "a", "one listener"), (100, "a-gateways", "100 Gateways")];
    for (gateways, name, spread) in rows {
        let (ratio, note) = edited_and_all(Routes { routes: ROUTES, gateways })?;
        let title = format!("5,000 HTTPRoutes on {spread}: CPU of all over one edited");
        let mut row = RowId::A.row(&title, ratio, note);
        row.name = name.into();
        measured.rows.push(row);
    }
    Ok(measured)
}

fn edited_and_all(routes: Routes) -> anyhow::Result<(f64, String)> {
    let world = RefCell::new(Edited::new(routes)?);
    let all = || world.borrow().all();
    let one = || world.borrow_mut().one();
    let pairs = Pairs::measure(Pairs::LEAST, all, one)?;
    let (Some(ratio), Some(all), Some(one)) = (pairs.ratio(), pairs.measured(), pairs.floor()) else {
        anyhow::bail!("no time was measured");
    };
    let note = format!("pairs {ratio}; all {:.0} ms, one {:.3} ms", all.median * 1e3, one.median * 1e3);
    Ok((ratio.median, note))
}

struct Edited {
    routes: Routes,
    world: World,
    source: SourceId,
    made: usize,
}

impl Edited {
    fn new(routes: Routes) -> anyhow::Result<Self> {
        let (mut world, source) = (World::default(), SourceId::new("bench"));
        let edits = fixture::objects(routes.manifests())?.into_iter().map(|object| Edit::Apply(object, None)).collect();
        world.update(source, Update { edits, ..Update::default() }, SystemTime::now());
        Ok(Self { routes, world, source, made: 0 })
    }

    /// CPU seconds to translate everything.
    fn all(&self) -> anyhow::Result<f64> {
        let (translated, took) = timed(|| Engine::from_scratch(self.world.snapshot(), []));
        ensure!(
            translated.0.resources().count() == self.world.engine().resources().count(),
            "the edits have lost something"
        );
        Ok(took.as_secs_f64())
    }

    /// CPU seconds to take in one edit: the index, translation, encoding, statuses.
    fn one(&mut self) -> anyhow::Result<f64> {
        let mut times = Vec::with_capacity(EDITS);
        for _ in 0..EDITS {
            self.made += 1;
            let route = self.routes.route(self.made * STRIDE % self.routes.routes, self.made);
            let update = Update { edits: vec![Edit::Apply(fixture::object(route)?, None)], ..Update::default() };
            let ((_, changes), took) = timed(|| self.world.update(self.source, update, SystemTime::now()));
            ensure!(changes.len() == 1, "an edit has changed {} resources", changes.len());
            times.push(took.as_secs_f64());
        }
        median(&times).ok_or_else(|| anyhow::anyhow!("no edits"))
    }
}

fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_cpu_time();
    let result = act();
    (result, thread_cpu_time() - start)
}
