//! A fixed number of places for connections, with eviction: a newcomer always gets a place.
//!
//! When all places are taken, the server evicts a connection of the address with the most places. It first evicts an
//! idle one, then one that is still sending its request, then one that is still reading its answer. Among several in
//! the same stage it evicts the one that entered the stage first. So an attacker evicts its own connections, and a
//! probe gets in even from the attacker's address.
//!
//! IPv6 addresses are counted by /64, since a host usually has all of one. An IPv4 address written as IPv6
//! (`::ffff:192.0.2.1`) counts as the IPv4 address.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// The addresses that are counted as one client.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Peer(IpAddr);

impl Peer {
    /// Every client of the socket in the state directory: only the agent's own user can connect there.
    pub(super) const LOCAL: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    pub(crate) fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// What a connection is doing, in the order in which connections are evicted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// No byte of a request has arrived, or none since the last answer.
    Idle,
    /// Part of a request has arrived.
    Request,
    /// The answer is being written.
    Answer,
}

/// The places of a server. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Mutex<PlaceTable>>);

/// A connection's stage, and a number that grows with each change of stage: it orders the connections in one stage.
type Since = (Stage, u64);

#[derive(Debug)]
struct PlaceTable {
    most: usize,
    taken: usize,
    next: u64,
    peers: HashMap<Peer, BTreeMap<Since, oneshot::Sender<()>>>,
    /// The last one is evicted from: the peer with the most places, and among equals the one with the next connection
    /// to evict.
    ranks: BTreeSet<(usize, Reverse<Since>, Peer)>,
}

impl Places {
    /// `most` places, but at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(PlaceTable {
            most: most.max(1),
            taken: 0,
            next: 0,
            peers: HashMap::new(),
            ranks: BTreeSet::new(),
        })))
    }

    /// Takes a place; also returns whether another connection was evicted for it.
    pub(crate) fn enter(&self, peer: Peer) -> (Place, bool) {
        let mut table = held(&self.0);
        let full = table.taken >= table.most;
        if full {
            table.evict();
        }
        let (keep, evicted) = oneshot::channel();
        let since = table.add(peer, Stage::Idle, keep);
        (Place { table: Arc::clone(&self.0), peer, since, evicted }, full)
    }

    /// Evicts the connection that is next in order, if there is one.
    pub(crate) fn evict(&self) {
        held(&self.0).evict();
    }
}

impl PlaceTable {
    fn add(&mut self, peer: Peer, stage: Stage, keep: oneshot::Sender<()>) -> Since {
        self.next += 1;
        let since = (stage, self.next);
        self.taken += 1;
        self.change(peer, |entries| entries.insert(since, keep));
        since
    }

    fn remove(&mut self, peer: Peer, since: Since) -> Option<oneshot::Sender<()>> {
        let keep = self.change(peer, |entries| entries.remove(&since));
        self.taken -= usize::from(keep.is_some());
        keep
    }

    fn evict(&mut self) {
        if let Some(&(_, Reverse(since), peer)) = self.ranks.last() {
            // Dropping the sender notifies the connection.
            self.remove(peer, since);
        }
    }

    /// Changes the entries of one peer, and updates its rank.
    fn change<T>(
        &mut self,
        peer: Peer,
        change: impl FnOnce(&mut BTreeMap<Since, oneshot::Sender<()>>) -> T,
    ) -> T {
        let rank = |entries: &BTreeMap<Since, _>| {
            entries.first_key_value().map(|(since, _)| (entries.len(), Reverse(*since), peer))
        };
        let entries = self.peers.entry(peer).or_default();
        if let Some(before) = rank(entries) {
            self.ranks.remove(&before);
        }
        let changed = change(entries);
        match rank(entries) {
            Some(now) => drop(self.ranks.insert(now)),
            None => drop(self.peers.remove(&peer)),
        }
        changed
    }
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    table: Arc<Mutex<PlaceTable>>,
    peer: Peer,
    since: Since,
    evicted: oneshot::Receiver<()>,
}

impl Place {
    /// The connection enters a stage. An evicted connection stays evicted.
    pub(crate) fn moved(&mut self, stage: Stage) {
        let mut table = held(&self.table);
        if let Some(keep) = table.remove(self.peer, self.since) {
            self.since = table.add(self.peer, stage, keep);
        }
    }

    /// Completes when the connection is evicted.
    pub(super) async fn evicted(&mut self) {
        let _ = (&mut self.evicted).await;
    }

    /// As `evicted`, for polling.
    pub(crate) fn poll_evicted(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.evicted).poll(context).map(drop)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        held(&self.table).remove(self.peer, self.since);
    }
}

/// No code panics while it holds the table, so a poisoned lock is safe to use.
fn held(table: &Mutex<PlaceTable>) -> MutexGuard<'_, PlaceTable> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::of(SocketAddr::new(text.parse().unwrap(), 1))
    }

    fn is_evicted(place: &mut Place) -> bool {
        !matches!(place.evicted.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    /// The indexes of the evicted places.
    fn evicted(places: &mut [Place]) -> Vec<usize> {
        (0..places.len()).filter(|&at| is_evicted(&mut places[at])).collect()
    }

    #[test]
    fn a_newcomer_gets_the_place_of_the_oldest_idle_connection_of_the_greediest_address() {
        let places = Places::new(4);
        let (few, many) = (peer("192.0.2.1"), peer("192.0.2.2"));
        let mut held: Vec<_> = [few, many, many, many].map(|peer| places.enter(peer).0).into();
        assert_eq!(evicted(&mut held), [0; 0]);
        let (_probe, evicts) = places.enter(few);
        assert!(evicts);
        assert_eq!(evicted(&mut held), [1]);
        // Two each: of the two first connections the older one is evicted.
        let _other = places.enter(peer("192.0.2.3"));
        assert_eq!(evicted(&mut held), [0, 1]);
    }

    #[test]
    fn an_idle_connection_goes_before_a_slow_sender_and_that_before_a_slow_reader() {
        let places = Places::new(3);
        let one = peer("2001:db8::1");
        let mut held: Vec<_> = (0..3).map(|_| places.enter(one).0).collect();
        held[0].moved(Stage::Answer);
        held[1].moved(Stage::Request);
        let mut later = Vec::new();
        for expected in [&[2][..], &[1, 2], &[0, 1, 2]] {
            // Each newcomer sends its request quickly, so it is not idle.
            let (mut newcomer, _) = places.enter(one);
            newcomer.moved(Stage::Answer);
            later.push(newcomer);
            assert_eq!(evicted(&mut held), expected);
        }
        assert_eq!(evicted(&mut later), [0; 0]);
    }

    #[test]
    fn a_host_s_ipv6_addresses_and_both_spellings_of_an_ipv4_address_count_as_one() {
        assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_ne!(peer("::ffff:192.0.2.1"), peer("::ffff:192.0.2.2"));
    }

    proptest! {
        #[test]
        fn the_books_hold_what_was_entered_and_neither_left_nor_was_evicted(
            most in 1_usize..6,
            steps in prop::collection::vec((0_u8..4, 0_u8..4, 0_usize..8), 0..200),
        ) {
            let places = Places::new(most);
            let mut held: Vec<Place> = Vec::new();
            for (what, who, which) in steps {
                match what {
                    0 | 1 => held.push(places.enter(Peer(Ipv4Addr::new(192, 0, 2, who).into())).0),
                    2 if which < held.len() => drop(held.swap_remove(which)),
                    _ => if let Some(place) = held.get_mut(which) {
                        place.moved([Stage::Idle, Stage::Request, Stage::Answer][usize::from(who) % 3]);
                    }
                }
                let living = held.len() - evicted(&mut held).len();
                held.retain_mut(|place| !is_evicted(place));
                let table = super::held(&places.0);
                prop_assert_eq!(table.taken, living);
                prop_assert!(living <= most);
                prop_assert_eq!(table.peers.values().map(BTreeMap::len).sum::<usize>(), living);
                prop_assert_eq!(table.ranks.len(), table.peers.len());
                let most_of_one = table.peers.values().map(BTreeMap::len).max();
                prop_assert_eq!(table.ranks.last().map(|rank| rank.0), most_of_one);
            }
        }
    }
}
