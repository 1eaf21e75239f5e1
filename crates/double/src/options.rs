//! The options of a list or a watch.

use std::time::Duration;

use crate::page::Token;
use crate::resource::Resource;
use crate::selector::Selector;
use crate::status::{Flaw, Status};

/// How long a watch lasts whose request does not say.
const LASTS: Duration = Duration::from_mins(30);

/// A parsed query. `A` is what the request asks for, [`List`] or [`Watch`].
#[derive(Debug)]
pub(crate) struct Options<A> {
    pub(crate) selector: Selector,
    pub(crate) ask: A,
}

/// A page of what there is.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) limit: Option<usize>,
    pub(crate) start: Start,
}

/// Where a list begins.
#[derive(Debug)]
pub(crate) enum Start {
    /// With the first object, of the newest state.
    Newest,
    /// Of a state that is at least this one.
    NotOlderThan(u64),
    /// Of this state.
    Exactly(u64),
    /// Where another list has ended.
    Continued(Token),
}

/// What there is, if asked for, and what changes.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) since: Since,
    pub(crate) bookmarks: bool,
    pub(crate) lasts: Duration,
}

/// The first event of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Every object as if it were new.
    Beginning,
    /// Every object as if it were new, and a bookmark that says so, of a state that is at least this one.
    Listed(u64),
    /// The next change.
    Now,
    /// The first change after this revision.
    Revision(u64),
}

/// A query as it was typed.
#[derive(Debug, Default)]
pub(crate) struct Query {
    labels: String,
    fields: String,
    limit: String,
    token: String,
    revision: String,
    matching: String,
    pub(crate) watch: bool,
    bookmarks: bool,
    timeout: String,
    initial: Option<bool>,
    pub(crate) ports: Vec<String>,
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.into_owned();
            // As Go reads it: whatever is not clearly false is true.
            let truth = value != "false" && value != "0";
            match &*key {
                "labelSelector" => query.labels = value,
                "fieldSelector" => query.fields = value,
                "limit" => query.limit = value,
                "continue" => query.token = value,
                "resourceVersion" => query.revision = value,
                "resourceVersionMatch" => query.matching = value,
                "watch" => query.watch = truth,
                "allowWatchBookmarks" => query.bookmarks = truth,
                "timeoutSeconds" => query.timeout = value,
                "sendInitialEvents" => query.initial = Some(truth),
                "ports" => query.ports.push(value),
                _ => {}
            }
        }
        query
    }

    /// Whether the field selector names one object.
    pub(crate) fn selects_one(&self) -> bool {
        self.fields.split(',').any(|field| field.trim_start().starts_with("metadata.name="))
    }

    pub(crate) fn list(&self, resource: Resource) -> Result<Options<List>, Status> {
        self.check_list()?;
        let selector = Selector::parse(resource, &self.labels, &self.fields)?;
        let revision = self.revision()?;
        let limit = number("limit", &self.limit)?.filter(|limit| *limit > 0);
        let start = if self.token.is_empty() {
            match (revision, self.matching.as_str()) {
                (None, _) => Start::Newest,
                (Some(revision), "Exact") => Start::Exactly(revision),
                // Without a match, a limit asks for just this state.
                (Some(revision), "") if limit.is_some() && revision > 0 => Start::Exactly(revision),
                (Some(revision), _) => Start::NotOlderThan(revision),
            }
        } else if revision.is_some_and(|revision| revision > 0) {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        } else {
            Start::Continued(Token::parse(&self.token)?)
        };
        // What may be old comes from a cache, which has no pages.
        let limit = limit.filter(|_| revision != Some(0)).and_then(|limit| usize::try_from(limit).ok());
        Ok(Options { selector, ask: List { limit, start } })
    }

    pub(crate) fn watch(&self, resource: Resource) -> Result<Options<Watch>, Status> {
        self.check_watch()?;
        let selector = Selector::parse(resource, &self.labels, &self.fields)?;
        let since = match (self.initial, self.revision()?) {
            (Some(true), revision) => Since::Listed(revision.unwrap_or(0)),
            (Some(false), None | Some(0)) => Since::Now,
            (None, None | Some(0)) => Since::Beginning,
            (_, Some(revision)) => Since::Revision(revision),
        };
        let lasts = number("timeoutSeconds", &self.timeout)?.filter(|seconds| *seconds > 0);
        let lasts = lasts.map_or(LASTS, Duration::from_secs);
        Ok(Options { selector, ask: Watch { since, bookmarks: self.bookmarks, lasts } })
    }

    fn revision(&self) -> Result<Option<u64>, Status> {
        number("resourceVersion", &self.revision)
    }

    fn check_list(&self) -> Result<(), Status> {
        const FIELD: &str = "resourceVersionMatch";
        let mut flaws = Vec::new();
        if !self.matching.is_empty() {
            if self.revision.is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                flaws.push((FIELD, Flaw::Forbidden(why)));
            }
            if !self.token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                flaws.push((FIELD, Flaw::Forbidden(why)));
            }
            if !["Exact", "NotOlderThan"].contains(&self.matching.as_str()) {
                let supported = "\"Exact\", \"NotOlderThan\", \"\"";
                flaws.push((FIELD, Flaw::Unsupported { value: self.matching.clone(), supported }));
            }
            if self.matching == "Exact" && self.revision == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                flaws.push((FIELD, Flaw::Forbidden(why)));
            }
        }
        if self.initial.is_some() {
            flaws.push(("sendInitialEvents", Flaw::Forbidden("sendInitialEvents is forbidden for list")));
        }
        if flaws.is_empty() { Ok(()) } else { Err(Status::invalid_options(&flaws)) }
    }

    fn check_watch(&self) -> Result<(), Status> {
        const FIELD: &str = "resourceVersionMatch";
        let mut flaws = Vec::new();
        if self.initial.is_some() && self.matching != "NotOlderThan" {
            let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            flaws.push((FIELD, Flaw::Forbidden(why)));
        }
        if !self.matching.is_empty() {
            if self.initial.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                flaws.push((FIELD, Flaw::Forbidden(why)));
            }
            if self.matching != "NotOlderThan" {
                let supported = "\"NotOlderThan\"";
                flaws.push((FIELD, Flaw::Unsupported { value: self.matching.clone(), supported }));
            }
        }
        if flaws.is_empty() { Ok(()) } else { Err(Status::invalid_options(&flaws)) }
    }
}

/// `None` where nothing is said.
fn number(name: &str, text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| format!("{name}: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
    text.parse().map(Some).map_err(|error| Status::bad_request(wrong(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(query: &str) -> Since {
        Query::parse(query).watch(Resource::Pods).unwrap().ask.since
    }

    #[test]
    fn a_watch_begins_where_it_is_told() {
        assert_eq!(since("watch=true"), Since::Beginning);
        assert_eq!(since("watch=1&resourceVersion=0"), Since::Beginning);
        assert_eq!(since("watch=1&resourceVersion=7"), Since::Revision(7));
        let initial = "watch=1&resourceVersionMatch=NotOlderThan&sendInitialEvents";
        assert_eq!(since(&format!("{initial}=true")), Since::Listed(0));
        assert_eq!(since(&format!("{initial}=true&resourceVersion=7")), Since::Listed(7));
        assert_eq!(since(&format!("{initial}=false")), Since::Now);
    }

    #[test]
    fn options_that_contradict_one_another_are_refused_in_the_servers_words() {
        let list = Query::parse("resourceVersionMatch=Exact").list(Resource::Pods).unwrap_err();
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        let text = format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: {why}");
        assert_eq!((list.code, list.to_string()), (422, text));

        let watch = Query::parse("watch=1&sendInitialEvents=true").watch(Resource::Pods).unwrap_err();
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        let text = format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: {why}");
        assert_eq!((watch.code, watch.to_string()), (422, text));

        let number = Query::parse("resourceVersion=x").list(Resource::Pods).unwrap_err();
        assert_eq!(number.code, 400);
    }
}
