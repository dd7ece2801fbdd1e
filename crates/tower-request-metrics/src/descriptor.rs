//! Reads the few fields of a protobuf `FileDescriptorSet` that tell services, methods and their types.

use std::collections::BTreeMap;

/// Methods by `package.Service/Method`, with what `grpc_type` says of them.
pub(crate) type Methods = BTreeMap<String, &'static str>;

/// Adds the methods of one set. The error says what is wrong with it.
pub(crate) fn read(set: &[u8], methods: &mut Methods) -> Result<(), &'static str> {
    for field in Fields(set) {
        // FileDescriptorSet.file
        if let (1, Value::Bytes(file)) = field? {
            read_file(file, methods)?;
        }
    }
    Ok(())
}

fn read_file(file: &[u8], methods: &mut Methods) -> Result<(), &'static str> {
    let mut package = "";
    let mut services = Vec::new();
    for field in Fields(file) {
        match field? {
            (2, Value::Bytes(name)) => package = text(name)?,
            (6, Value::Bytes(service)) => services.push(service),
            _ => {}
        }
    }
    services
        .into_iter()
        .try_for_each(|service| read_service(package, service, methods))
}

fn read_service(package: &str, service: &[u8], methods: &mut Methods) -> Result<(), &'static str> {
    let mut name = "";
    let mut found = Vec::new();
    for field in Fields(service) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2, Value::Bytes(method)) => found.push(read_method(method)?),
            _ => {}
        }
    }
    let dot = if package.is_empty() { "" } else { "." };
    for (method, kind) in found {
        methods.insert(format!("{package}{dot}{name}/{method}"), kind);
    }
    Ok(())
}

fn read_method(method: &[u8]) -> Result<(&str, &'static str), &'static str> {
    let mut name = "";
    let (mut from_client, mut from_server) = (false, false);
    for field in Fields(method) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (5, Value::Number(set)) => from_client = set != 0,
            (6, Value::Number(set)) => from_server = set != 0,
            _ => {}
        }
    }
    Ok((
        name,
        match (from_client, from_server) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        },
    ))
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "a name is not UTF-8")
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// The fields of a message: number and value.
struct Fields<'a>(&'a [u8]);

const CUT: &str = "it ends in the middle of a field";

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), &'static str> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Skipped)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| CUT)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Skipped)?,
            _ => return Err("a field has a wire type that descriptors do not use"),
        };
        Ok((tag >> 3, value))
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(CUT)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is longer than 64 bits")
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8, content: &[u8]) -> Vec<u8> {
        let mut message = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        message.extend_from_slice(content);
        message
    }

    fn method(name: &str, flags: &[u8]) -> Vec<u8> {
        let mut method = message(1, name.as_bytes());
        // input_type, which is passed over
        method.extend(message(2, b".pkg.In"));
        for flag in flags {
            method.extend([flag << 3, 1]);
        }
        message(2, &method)
    }

    fn set() -> Vec<u8> {
        let mut service = message(1, b"Svc");
        service.extend(method("One", &[]));
        service.extend(method("Two", &[5]));
        service.extend(method("Three", &[6]));
        service.extend(method("Four", &[5, 6]));
        // The service stands before the package, as it may.
        let mut file = message(6, &service);
        file.extend(message(2, b"pkg.v1"));
        message(1, &file)
    }

    #[test]
    fn methods_and_their_types_are_read() {
        let mut methods = Methods::new();
        read(&set(), &mut methods).unwrap();
        let methods: Vec<_> = methods
            .iter()
            .map(|(name, kind)| (name.as_str(), *kind))
            .collect();
        assert_eq!(
            methods,
            [
                ("pkg.v1.Svc/Four", "bidi_stream"),
                ("pkg.v1.Svc/One", "unary"),
                ("pkg.v1.Svc/Three", "server_stream"),
                ("pkg.v1.Svc/Two", "client_stream"),
            ]
        );
    }

    #[test]
    fn a_set_that_is_cut_or_none_is_an_error_and_not_a_panic() {
        let set = set();
        for length in 1..set.len() {
            assert!(
                read(&set[..length], &mut Methods::new()).is_err(),
                "{length}"
            );
        }
        assert!(read(b"not a descriptor", &mut Methods::new()).is_err());
        assert!(read(&[0xff; 64], &mut Methods::new()).is_err());
    }
}
