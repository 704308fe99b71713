//! A Worker without a model: it says back what it was told.

use worker_guest::{Failure, Part, Turn, Worker, worker};

struct Echo;

worker!(Echo);

impl Worker for Echo {
    fn run(turn: Turn) -> Result<(), Failure> {
        let lines: Vec<String> = turn
            .parts()
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) | Part::Json(text) => Some(text.clone()),
                Part::Image(image) => {
                    Some(format!("[{}, {} bytes]", image.media_type, image.data.len()))
                }
                Part::Other(_) => None,
            })
            .collect();
        turn.say(&lines.join("\n"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use worker_guest::{Image, testing::TestTurn};

    use super::*;

    #[test]
    fn says_back_every_part_it_knows_on_a_line_of_its_own() {
        let outcome = TestTurn::parts([
            Part::Text("hello".into()),
            Part::Json(r#"{"k":[1,2]}"#.into()),
            Part::Other(r#"{"kind":"sound"}"#.into()),
            Part::Image(Image { media_type: "image/png".into(), data: vec![0; 3] }),
        ])
        .run::<Echo>();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(outcome.said, ["hello\n{\"k\":[1,2]}\n[image/png, 3 bytes]"]);
    }
}
