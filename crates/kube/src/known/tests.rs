use super::*;

const WEB: &str = "svc/web.shop";

fn key(text: &str) -> ObjectKey {
    let (kind, rest) = text.split_once('/').unwrap();
    let (name, namespace) = rest.split_once('.').unwrap();
    ObjectKey { kind: Kind::from_word(kind).unwrap(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn keys(texts: &[&str]) -> BTreeSet<ObjectKey> {
    texts.iter().map(|text| key(text)).collect()
}

fn selection(resource: Resource, namespace: &str, by: By) -> Selection {
    Selection { resource, namespace: Some(namespace.to_owned()), by }
}

fn by_name(name: &str) -> By {
    By::Name(name.to_owned())
}

fn by_labels(selector: &str) -> By {
    By::Labels(selector.to_owned())
}

/// Objects as an API server lists them.
fn listed(resource: Resource, namespace: &str, items: &[&str]) -> Vec<Object> {
    let metadata = |name: &str, rest: &str| {
        format!(r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","resourceVersion":"1"}}{rest}}}"#)
    };
    let items: Vec<String> = items
        .iter()
        .map(|item| {
            let (name, rest) = item.split_once(' ').unwrap_or((item, ""));
            metadata(name, rest)
        })
        .collect();
    objects::page(resource, format!(r#"{{"items":[{}]}}"#, items.join(",")).as_bytes()).unwrap().objects
}

fn slice_of(service: &str, address: &str) -> Object {
    let endpoints = format!(r#"[{{"addresses":["{address}"]}}]"#);
    let metadata = format!(
        r#"{{"name":"{service}-1","namespace":"shop","resourceVersion":"1",
            "labels":{{"kubernetes.io/service-name":"{service}"}}}}"#
    );
    let list = format!(r#"{{"items":[{{"metadata":{metadata},"addressType":"IPv4","endpoints":{endpoints}}}]}}"#);
    objects::page(Resource::EndpointSlices, list.as_bytes()).unwrap().objects.remove(0)
}

#[test]
fn one_object_of_a_kind_in_a_namespace_is_asked_for_by_its_name() {
    let wanted = Known::default().wanted(&keys(&[WEB, "svc/web.other", "pod/db.shop"]), true);
    let expected = [
        selection(Resource::Services, "shop", by_name("web")),
        selection(Resource::EndpointSlices, "shop", By::Service("web".to_owned())),
        selection(Resource::Services, "other", by_name("web")),
        selection(Resource::EndpointSlices, "other", By::Service("web".to_owned())),
        selection(Resource::Pods, "shop", by_name("db")),
        Selection { resource: Resource::Nodes, namespace: None, by: By::All },
    ];
    assert_eq!(wanted, expected.into());
}

#[test]
fn several_objects_of_a_kind_in_a_namespace_are_asked_for_at_once() {
    let wanted = Known::default().wanted(&keys(&[WEB, "svc/db.shop", "pod/a.shop", "pod/b.shop"]), false);
    let expected = [Resource::Services, Resource::EndpointSlices, Resource::Pods]
        .map(|resource| selection(resource, "shop", By::All));
    assert_eq!(wanted, expected.into());
}

#[test]
fn the_pods_of_a_workload_are_asked_for_once_its_selector_is_known() {
    let keys = keys(&["deploy/web.shop", "deploy/db.shop"]);
    let mut known = Known::default();
    let of = |name| selection(Resource::Deployments, "shop", by_name(name));
    assert_eq!(known.wanted(&keys, false), [of("web"), of("db")].into());
    let web = r#"web ,"spec":{"selector":{"matchLabels":{"app":"web"}}}"#;
    known.set(&of("web"), listed(Resource::Deployments, "shop", &[web])).unwrap();
    known.set(&of("db"), listed(Resource::Deployments, "shop", &["db"])).unwrap();
    let pods = selection(Resource::Pods, "shop", by_labels("app=web"));
    assert_eq!(known.wanted(&keys, false), [of("web"), of("db"), pods.clone()].into());

    known.set(&pods, listed(Resource::Pods, "shop", &["web-b", "web-a"])).unwrap();
    let objects = known.objects(&keys);
    let names = |text| objects.pods[&key(text)].iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names("deploy/web.shop"), ["web-a", "web-b"]);
    assert_eq!(names("deploy/db.shop"), [""; 0]);
}

#[test]
fn what_does_not_exist_is_left_out() {
    let keys = keys(&[WEB, "svc/gone.shop", "pod/gone.shop", "sts/gone.shop"]);
    let mut known = Known::default();
    for selection in known.wanted(&keys, false) {
        known.set(&selection, Vec::new()).unwrap();
    }
    known
        .set(&selection(Resource::Services, "shop", By::All), listed(Resource::Services, "shop", &["web", "other"]))
        .unwrap();
    let objects = known.objects(&keys);
    assert_eq!(objects.services.into_keys().collect::<BTreeSet<_>>(), self::keys(&[WEB]));
    assert!(objects.pods.is_empty());
}

#[test]
fn a_service_has_the_endpoints_of_its_own_slices() {
    let keys = keys(&[WEB, "svc/db.shop"]);
    let mut known = Known::default();
    known
        .set(&selection(Resource::Services, "shop", By::All), listed(Resource::Services, "shop", &["web", "db"]))
        .unwrap();
    let slices = selection(Resource::EndpointSlices, "shop", By::All);
    known.set(&slices, vec![slice_of("web", "10.42.0.1"), slice_of("db", "10.42.0.2")]).unwrap();
    let addresses = |known: &Known, text| {
        let objects = known.objects(&keys);
        objects.services[&key(text)].endpoints.iter().map(|e| e.address.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(addresses(&known, WEB), ["10.42.0.1"]);
    assert_eq!(addresses(&known, "svc/db.shop"), ["10.42.0.2"]);
    known.put(&slices, slice_of("web", "10.42.0.9")).unwrap();
    assert_eq!(addresses(&known, WEB), ["10.42.0.9"]);
    known.remove(&slices, &("shop".to_owned(), "web-1".to_owned()));
    assert_eq!(addresses(&known, WEB), [""; 0]);
}

#[test]
fn nodes_that_were_not_answered_are_not_known() {
    let nodes = Selection { resource: Resource::Nodes, namespace: None, by: By::All };
    let mut known = Known::default();
    assert_eq!(known.objects(&keys(&[])).ready_nodes, None);
    let ready = r#"a ,"status":{"conditions":[{"type":"Ready","status":"True"}]}"#;
    known.set(&nodes, listed(Resource::Nodes, "", &[ready, "b"])).unwrap();
    assert_eq!(known.objects(&keys(&[])).ready_nodes, Some(["a".to_owned()].into()));
}

#[test]
fn what_was_known_stays_when_it_is_asked_for_in_another_way() {
    let one = keys(&[WEB]);
    let both = keys(&[WEB, "svc/db.shop"]);
    let mut known = Known::default();
    known
        .set(&selection(Resource::Services, "shop", by_name("web")), listed(Resource::Services, "shop", &["web"]))
        .unwrap();
    let own = selection(Resource::EndpointSlices, "shop", By::Service("web".to_owned()));
    known.set(&own, vec![slice_of("web", "10.42.0.1")]).unwrap();
    let before = known.objects(&one);
    for (from, to) in [(&one, &both), (&both, &one)] {
        let (from, to) = (known.wanted(from, false), known.wanted(to, false));
        for selection in &from {
            known.hand_over(selection, &to);
            assert!(!known.has(selection));
        }
        assert_eq!(known.objects(&one), before);
    }
}

#[test]
fn pods_of_another_selection_are_not_taken_over() {
    let mut known = Known::default();
    let all = selection(Resource::Pods, "shop", By::All);
    known.set(&all, listed(Resource::Pods, "shop", &["db-0", "web-a"])).unwrap();
    let one = selection(Resource::Pods, "shop", by_name("db-0"));
    let labelled = selection(Resource::Pods, "shop", by_labels("app=web"));
    let elsewhere = selection(Resource::Pods, "other", By::All);
    known.hand_over(&all, [&one, &labelled, &elsewhere]);
    assert_eq!(known.0[&one].items.len(), 1);
    assert!(known.0[&labelled].items.is_empty());
    assert!(!known.has(&elsewhere));
}

#[test]
fn what_is_kept_has_a_limit_and_what_was_known_before_stays() {
    let slices = selection(Resource::EndpointSlices, "shop", By::All);
    let mut known = Known::default();
    known.set(&slices, vec![slice_of("web", "10.42.0.1")]).unwrap();
    let long =
        |name: usize| Object { place: ("shop".to_owned(), format!("{name:01000}")), ..slice_of("web", "10.42.0.2") };
    let many = || (0..API_KEPT.most / 1000).map(long);
    assert_eq!(known.set(&slices, many().collect()), Err(API_KEPT));
    assert_eq!(many().find_map(|object| known.put(&slices, object).err()), Some(API_KEPT));
    known.put(&slices, slice_of("web", "10.42.0.9")).unwrap();
    known.remove(&slices, &long(0).place);
    known.put(&slices, long(0)).unwrap();
    let replaced = vec![slice_of("web", "10.42.0.1")];
    known.set(&slices, replaced).unwrap();
    known.put(&slices, long(1)).unwrap();
}
