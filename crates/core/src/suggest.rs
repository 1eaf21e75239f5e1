//! "Did you mean": the known name nearest to one that is not known.

/// How alike two names must be, from 0 to 1, for one to be suggested for the other.
const SIMILARITY: f64 = 0.7;

/// The candidate most like `name`, if one is like enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_is_suggested() {
        assert_eq!(nearest("myclsuter", ["other", "mycluster", "mycloud"]), Some("mycluster"));
    }

    #[test]
    fn nothing_is_suggested_for_a_stranger() {
        assert_eq!(nearest("zebra", ["mycluster"]), None);
    }
}
