//! Whoever may not see everything.

use portgate_double::{Fault, Requests, Resource, Verb};

use crate::lab::{Lab, keys, pods, ready, soon, until};

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
    for verb in [Verb::List, Verb::Watch] {
        let lab = Lab::recorded().await;
        forbid(&lab, verb, Resource::Nodes).await;
        let mut watch = lab.api().await.watch(keys(&[ECHO]), true);
        let seen = until(&mut watch, |objects| objects.ready_nodes.is_none()).await;
        assert_eq!((ready(&seen, ECHO).unwrap().len(), seen.problem), (1, None));
    }
}

#[tokio::test]
async fn the_right_to_see_one_object_is_enough_to_follow_it() {
    let lab = Lab::recorded().await;
    for resource in [Resource::Services, Resource::Pods, Resource::Deployments] {
        for verb in [Verb::List, Verb::Watch] {
            lab.double.fault(Fault::Forbid { requests: Requests::to(verb, resource).unnamed() }).await.unwrap();
        }
    }
    let pod = "pod/echo-6d4f68dbd7-k8vdx.backend";
    let mut watch = lab.watch(&[ECHO, pod]).await;
    let seen = soon(watch.next()).await;
    assert_eq!((ready(&seen, ECHO).unwrap().len(), pods(&seen, pod).unwrap().len()), (1, 1));
    assert_eq!(seen.problem, None);
    lab.double.delete(Resource::Services, "backend", "echo").await.unwrap();
    until(&mut watch, |objects| objects.services.is_empty()).await;

    // The pods of a workload have names that nobody can allow beforehand.
    watch.follow(keys(&["deploy/echo.backend"]));
    let seen = soon(watch.next()).await;
    assert_eq!(pods(&seen, "deploy/echo.backend").unwrap(), [""; 0]);
    assert!(seen.problem.unwrap().starts_with("cannot list pods in namespace backend"));
}

#[tokio::test]
async fn what_is_known_of_one_object_stays_if_several_may_not_be_seen() {
    let lab = Lab::recorded().await;
    lab.double.fault(Fault::Forbid { requests: Requests::to(Verb::List, Resource::Services).unnamed() }).await.unwrap();
    let mut watch = lab.watch(&[ECHO]).await;
    assert_eq!(soon(watch.next()).await.problem, None);
    watch.follow(keys(&[ECHO, "svc/internal.backend"]));
    let seen = soon(watch.next()).await;
    assert_eq!((ready(&seen, ECHO).unwrap().len(), ready(&seen, "svc/internal.backend")), (1, None));
    assert!(seen.problem.unwrap().starts_with("cannot list services in namespace backend"));
}
