//! Reports in XML, told apart by their elements.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::{KNOWN, Mutant, mutmut, pit};
use crate::gate::xml::{attribute, reference};

/// Reads PIT's and mutmut's reports.
pub(super) fn parse(text: &str) -> Result<Vec<Mutant>, String> {
    let mut reader = Reader::from_str(text);
    let mut mutants = Vec::new();
    let mut of_pit = pit::Row::default();
    let mut case: Option<mutmut::Row> = None;
    let (mut element, mut known) = (String::new(), false);
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match &event {
            Event::Eof => break,
            Event::Start(start) | Event::Empty(start) => {
                let is_empty = matches!(event, Event::Empty(_));
                element = start.local_name().as_ref().to_owned();
                let attribute = |name: &str| attribute(start, name).unwrap_or_default();
                match element.as_str() {
                    "mutations" => known = true,
                    "testsuite" if attribute("name") == "mutmut" => known = true,
                    "mutation" => {
                        of_pit = pit::Row { status: attribute("status"), ..pit::Row::default() };
                    }
                    "testcase" => {
                        let row = mutmut::Row {
                            name: attribute("name"),
                            file: attribute("file"),
                            line: attribute("line"),
                            ..mutmut::Row::default()
                        };
                        if row.name.starts_with("Mutant #") {
                            known = true;
                            if is_empty {
                                mutants.extend(mutmut::mutant(&row));
                            } else {
                                case = Some(row);
                            }
                        }
                    }
                    "failure" | "error" | "skipped" => {
                        if let Some(row) = &mut case {
                            row.outcome = Some((element.clone(), attribute("message")));
                        }
                    }
                    _ => {}
                }
            }
            Event::Text(text) => put(&mut of_pit, &mut case, &element, text.as_ref()),
            Event::CData(text) => put(&mut of_pit, &mut case, &element, text.as_ref()),
            Event::GeneralRef(it) => put(&mut of_pit, &mut case, &element, &reference(it)),
            Event::End(end) => {
                match end.local_name().as_ref() {
                    "mutation" => mutants.extend(pit::mutant(&of_pit)),
                    "testcase" => mutants.extend(case.take().as_ref().and_then(mutmut::mutant)),
                    _ => {}
                }
                element.clear();
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if !known {
        return Err(format!("it is none of {KNOWN}"));
    }
    Ok(mutants)
}

/// Keeps what stands in an element of which something is wanted.
fn put(of_pit: &mut pit::Row, case: &mut Option<mutmut::Row>, element: &str, text: &str) {
    let field = match element {
        "sourceFile" => &mut of_pit.source_file,
        "mutatedClass" => &mut of_pit.class,
        "lineNumber" => &mut of_pit.line,
        "description" => &mut of_pit.description,
        "failure" | "error" => match case {
            Some(case) => &mut case.text,
            None => return,
        },
        _ => return,
    };
    field.push_str(text);
}
