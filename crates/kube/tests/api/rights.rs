//! Whoever may not see everything.

use portgate_double::{Fault, Requests, Resource, Verb};

use crate::lab::{Lab, keys, ready, soon, until};

const ECHO: &str = "svc/echo.backend";

async fn forbid(lab: &Lab, verb: Verb, resource: Resource) {
    lab.double.fault(Fault::Forbid { requests: Requests::to(verb, resource) }).await.unwrap();
}

#[tokio::test]
async fn the_verb_that_is_missing_is_named_and_the_rest_is_seen() {
    for (verb, word) in [(Verb::List, "list"), (Verb::Watch, "watch")] {
        let lab = Lab::recorded().await;
        forbid(&lab, verb, Resource::EndpointSlices).await;
        let mut watch = lab.watch(&[ECHO]).await;
        let seen = until(&mut watch, |objects| objects.problem.is_some()).await;
        let problem = seen.problem.as_deref().unwrap();
        let said = format!("cannot {word} endpointslices.discovery.k8s.io in namespace backend");
        assert!(problem.starts_with(&said) && problem.contains("forbids it"), "{problem}");
        assert!(ready(&seen, ECHO).is_some());
        lab.double.fault(Fault::Mend).await.unwrap();
        let seen = until(&mut watch, |objects| objects.problem.is_none()).await;
        assert_eq!(ready(&seen, ECHO).unwrap(), ["10.42.0.2"]);
    }
}

#[tokio::test]
async fn nodes_that_may_not_be_seen_are_not_known_and_no_problem() {
    let lab = Lab::recorded().await;
    forbid(&lab, Verb::List, Resource::Nodes).await;
    let mut watch = lab.api().await.watch(keys(&[ECHO]), true);
    let seen = soon(watch.next()).await;
    assert_eq!((seen.ready_nodes, seen.problem), (None, None));
}
