//! Browser sessions: one-time links, and the cookies they are exchanged for.
//!
//! Whoever may use the control socket can have a link; whoever opens it first, within 30 s, has a
//! session. Nothing else makes one. Codes and cookies are 256 random bits, kept as digests and only in
//! memory, so a restart signs everybody out.
//!
//! Browsers send a cookie to every port of the host that set it. Another server on this machine can
//! therefore learn ours, and on Linux gains nothing by that: connections of other users are refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};

use crate::clock::SharedClock;
use crate::error::{Classify, ErrorKind};
use crate::types::{Digest, Secret};

/// How long a link can be opened.
const LINK_LIFE: SignedDuration = SignedDuration::from_secs(30);
/// How long a session lives without a request, and at the most.
const IDLE_LIMIT: SignedDuration = SignedDuration::from_hours(12);
const LIFE_LIMIT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What a page says when it asks by itself.
const UNATTENDED: HeaderName = HeaderName::from_static("x-unattended");
/// Beyond these the oldest goes.
const MAX_LINKS: usize = 8;
const MAX_SESSIONS: usize = 32;

/// Cloneable handle.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    clock: SharedClock,
    cookie: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: Vec<Link>,
    sessions: Vec<Record>,
}

struct Link {
    code: Digest,
    expires_at: Timestamp,
}

struct Record {
    cookie: Digest,
    opened_at: Timestamp,
    seen_at: Timestamp,
}

impl Record {
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.seen_at) > IDLE_LIMIT
            || now.duration_since(self.opened_at) > LIFE_LIMIT
    }
}

/// A code for a link, shown once.
#[derive(Debug)]
pub struct OneTimeCode {
    pub code: Secret,
    pub expires_at: Timestamp,
}

/// A session just opened.
#[derive(Debug)]
pub struct Opened {
    pub session: Session,
    pub set_cookie: HeaderValue,
}

/// A request's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    cookie: Digest,
    csrf: Secret,
}

impl Session {
    /// Names the session to people; worth nothing to anybody else.
    pub fn id(&self) -> String {
        let mut id = self.cookie.to_string();
        id.truncate(8);
        id
    }

    /// What a form of this session carries. It comes from the cookie and does not lead back to it.
    pub fn csrf_token(&self) -> &str {
        self.csrf.expose()
    }

    /// Whether `token` came from a page of this session. Takes the same time whatever it holds.
    pub fn is_csrf_token(&self, token: &str) -> bool {
        self.csrf == Secret::new(token)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("this link was used already, or is older than {} seconds", LINK_LIFE.as_secs())]
    UnknownCode,
    #[error("the system has no randomness")]
    NoRandomness,
}

impl Classify for SessionError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownCode => ErrorKind::Denied,
            Self::NoRandomness => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownCode => Some("run `mcpbridgectl ui` for a new one".to_owned()),
            Self::NoRandomness => None,
        }
    }
}

impl Sessions {
    /// Sessions of the daemon on `port`. The port is in the cookie's name, because cookies do not tell
    /// ports apart and two daemons would take each other's.
    pub fn new(clock: SharedClock, port: u16) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                cookie: format!("mcpbridge-session-{port}"),
                state: Mutex::default(),
            }),
        }
    }

    /// A code that opens one session.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new_link(&self) -> Result<OneTimeCode, SessionError> {
        let code = random()?;
        let now = self.inner.clock.now();
        let expires_at = now.saturating_add(LINK_LIFE).unwrap_or(now);
        let mut state = self.state();
        state.links.retain(|link| link.expires_at >= now);
        make_room(&mut state.links, MAX_LINKS);
        state.links.push(Link {
            code: Digest::of(code.expose().as_bytes()),
            expires_at,
        });
        Ok(OneTimeCode { code, expires_at })
    }

    /// Exchanges a code for a session, once.
    ///
    /// # Errors
    /// The code is none of ours, was used, or is too old.
    pub fn redeem(&self, code: &str) -> Result<Opened, SessionError> {
        let code = Digest::of(code.as_bytes());
        let now = self.inner.clock.now();
        let mut state = self.state();
        // Digests of guesses say nothing about a code, so comparing them may take any time.
        let at = state.links.iter().position(|link| link.code == code);
        let link = at.map(|at| state.links.swap_remove(at));
        if link.is_none_or(|link| link.expires_at < now) {
            return Err(SessionError::UnknownCode);
        }
        let token = random()?;
        let token = token.expose();
        let session = session(token);
        let name = &self.inner.cookie;
        let cookie = format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/");
        let mut set_cookie =
            HeaderValue::try_from(cookie).map_err(|_| SessionError::NoRandomness)?;
        set_cookie.set_sensitive(true);
        state.sessions.retain(|record| !record.is_over(now));
        state.sessions.sort_by_key(|record| record.seen_at);
        make_room(&mut state.sessions, MAX_SESSIONS);
        state.sessions.push(Record {
            cookie: session.cookie,
            opened_at: now,
            seen_at: now,
        });
        Ok(Opened {
            session,
            set_cookie,
        })
    }

    /// The session of a request, whose idle time begins anew where a person made it.
    pub fn find(&self, headers: &HeaderMap) -> Option<Session> {
        let now = self.inner.clock.now();
        let mut state = self.state();
        self.cookies(headers).find_map(|token| {
            let session = session(token);
            let record = state
                .sessions
                .iter_mut()
                .find(|record| record.cookie == session.cookie && !record.is_over(now))?;
            if !headers.contains_key(UNATTENDED) {
                record.seen_at = now;
            }
            Some(session)
        })
    }

    /// Whether the session is still open. Asking is no use of it.
    pub fn is_open(&self, session: &Session) -> bool {
        let now = self.inner.clock.now();
        let state = self.state();
        let mut records = state.sessions.iter();
        records.any(|record| record.cookie == session.cookie && !record.is_over(now))
    }

    /// Ends the session and takes the cookie back.
    pub fn end(&self, session: &Session) -> Option<HeaderValue> {
        self.state()
            .sessions
            .retain(|record| record.cookie != session.cookie);
        let name = &self.inner.cookie;
        let cookie = format!("{name}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
        HeaderValue::try_from(cookie).ok()
    }

    /// Values under our cookie's name. A page on another port can plant more of them.
    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let all = headers.get_all(COOKIE).iter();
        all.filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.inner.cookie)
            .map(|(_, token)| token)
            .take(MAX_SESSIONS)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn session(token: &str) -> Session {
    let csrf = Digest::of_parts([b"csrf".as_slice(), token.as_bytes()]);
    Session {
        cookie: Digest::of(token.as_bytes()),
        csrf: Secret::new(URL_SAFE_NO_PAD.encode(csrf.as_bytes())),
    }
}

fn random() -> Result<Secret, SessionError> {
    Secret::random().map_err(|_| SessionError::NoRandomness)
}

/// Drops what came first, so that one more fits into `limit`.
fn make_room<T>(list: &mut Vec<T>, limit: usize) {
    let surplus = (list.len() + 1).saturating_sub(limit);
    list.drain(..surplus.min(list.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn sessions() -> (Arc<ManualClock>, Sessions) {
        let clock = ManualClock::at("2026-11-21T12:00:00Z".parse().unwrap());
        (clock.clone(), Sessions::new(clock, 3000))
    }

    fn open(sessions: &Sessions) -> Opened {
        let link = sessions.new_link().unwrap();
        sessions.redeem(link.code.expose()).unwrap()
    }

    fn request(opened: &Opened) -> HeaderMap {
        let cookie = opened.set_cookie.to_str().unwrap();
        let pair = cookie.split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, pair.parse().unwrap())])
    }

    #[test]
    fn a_link_opens_one_session_once() {
        let (_, sessions) = sessions();
        let link = sessions.new_link().unwrap();
        assert_eq!(link.code.expose().len(), 43, "256 bits");
        let opened = sessions.redeem(link.code.expose()).unwrap();
        let found = sessions.find(&request(&opened)).unwrap();
        assert_eq!(found, opened.session);
        let again = sessions.redeem(link.code.expose()).unwrap_err();
        assert_eq!(again, SessionError::UnknownCode);
        assert!(again.hint().unwrap().contains("mcpbridgectl ui"));
    }

    #[test]
    fn a_link_expires_and_a_guess_opens_nothing() {
        let (clock, sessions) = sessions();
        let link = sessions.new_link().unwrap();
        assert!(sessions.redeem("guess").is_err() && sessions.redeem("").is_err());
        clock.advance(LINK_LIFE + SignedDuration::from_secs(1));
        assert!(sessions.redeem(link.code.expose()).is_err());
    }

    #[test]
    fn only_the_newest_links_are_kept() {
        let (_, sessions) = sessions();
        let links: Vec<_> = (0..=MAX_LINKS)
            .map(|_| sessions.new_link().unwrap())
            .collect();
        assert!(sessions.redeem(links[0].code.expose()).is_err());
        for link in &links[1..] {
            assert!(sessions.redeem(link.code.expose()).is_ok());
        }
    }

    #[test]
    fn the_cookie_is_for_this_site_and_no_script() {
        let (_, sessions) = sessions();
        let opened = open(&sessions);
        let cookie = opened.set_cookie.to_str().unwrap();
        assert!(cookie.starts_with("mcpbridge-session-3000="), "{cookie}");
        assert!(
            cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
            "{cookie}"
        );
        assert!(opened.set_cookie.is_sensitive());
    }

    #[test]
    fn a_session_ends_when_idle_when_old_and_when_told() {
        let (clock, sessions) = sessions();
        let idle = open(&sessions);
        let busy = open(&sessions);
        clock.advance(SignedDuration::from_hours(11));
        assert!(sessions.find(&request(&busy)).is_some());
        clock.advance(SignedDuration::from_hours(2));
        assert!(sessions.find(&request(&idle)).is_none());
        for _ in 0..15 {
            assert!(sessions.find(&request(&busy)).is_some());
            clock.advance(SignedDuration::from_hours(11));
        }
        assert!(!sessions.is_open(&busy.session), "older than a week");

        let told = open(&sessions);
        let removal = sessions.end(&told.session).unwrap();
        assert!(removal.to_str().unwrap().ends_with("Max-Age=0"));
        assert!(sessions.find(&request(&told)).is_none());
    }

    #[test]
    fn looking_whether_a_session_is_open_does_not_keep_it_open() {
        let (clock, sessions) = sessions();
        let opened = open(&sessions);
        clock.advance(SignedDuration::from_hours(11));
        assert!(sessions.is_open(&opened.session));
        let mut by_itself = request(&opened);
        by_itself.insert(UNATTENDED, HeaderValue::from_static("1"));
        assert!(sessions.find(&by_itself).is_some());
        clock.advance(SignedDuration::from_hours(2));
        assert!(!sessions.is_open(&opened.session));
    }

    #[test]
    fn beyond_the_limit_the_longest_unused_session_goes() {
        let (clock, sessions) = sessions();
        let opened: Vec<_> = (0..MAX_SESSIONS).map(|_| open(&sessions)).collect();
        clock.advance(SignedDuration::from_secs(1));
        for used in &opened[1..] {
            assert!(sessions.find(&request(used)).is_some());
        }
        open(&sessions);
        assert!(!sessions.is_open(&opened[0].session));
        assert!(
            opened[1..]
                .iter()
                .all(|opened| sessions.is_open(&opened.session))
        );
    }

    #[test]
    fn a_planted_cookie_beside_ours_does_not_hide_it() {
        let (_, sessions) = sessions();
        let opened = open(&sessions);
        let own = request(&opened)[COOKIE].to_str().unwrap().to_owned();
        let planted = format!("a=b; mcpbridge-session-3000=planted; {own}");
        let headers = HeaderMap::from_iter([(COOKIE, planted.parse().unwrap())]);
        assert_eq!(sessions.find(&headers), Some(opened.session));
    }

    #[test]
    fn each_session_has_its_own_csrf_token() {
        let (_, sessions) = sessions();
        let (one, other) = (open(&sessions).session, open(&sessions).session);
        assert!(one.is_csrf_token(one.csrf_token()));
        assert!(!one.is_csrf_token(other.csrf_token()) && !one.is_csrf_token(""));
        assert_ne!(one.id(), other.id());
    }
}
