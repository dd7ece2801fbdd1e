//! What an import named by a pickle can do.

/// What an import can do when the pickle is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Only builds data.
    Harmless,
    /// Not on any list: runs whatever that module has under that name.
    Unknown,
    /// Runs code, starts programs or leads to something that does; the text says which.
    Dangerous(&'static str),
}

const SHELL: &str = "runs programs";
const EVALUATES: &str = "runs code it is given as text or bytes";
const REACHES: &str = "reaches any attribute or module by name";
const LOADS: &str = "loads another pickle or model";
const NETWORK: &str = "opens network connections";
const FILES: &str = "reads, writes or deletes files";

/// Modules of which nothing belongs into a model file.
const MODULES: &[(&str, &str)] = &[
    ("_aix_support", SHELL),
    ("_osx_support", SHELL),
    ("_posixsubprocess", SHELL),
    ("_pyrepl", SHELL),
    ("asyncio", SHELL),
    ("bdb", EVALUATES),
    ("cProfile", EVALUATES),
    ("cloudpickle", LOADS),
    ("code", EVALUATES),
    ("codeop", EVALUATES),
    ("commands", SHELL),
    ("ctypes", "calls into native libraries"),
    ("_ctypes", "calls into native libraries"),
    ("dill", LOADS),
    ("distutils", SHELL),
    ("doctest", EVALUATES),
    ("ensurepip", SHELL),
    ("fileinput", FILES),
    ("ftplib", NETWORK),
    ("http", NETWORK),
    ("httplib", NETWORK),
    ("idlelib", SHELL),
    ("imp", EVALUATES),
    ("importlib", REACHES),
    ("inspect", REACHES),
    ("linecache", FILES),
    ("logging.config", REACHES),
    ("marshal", LOADS),
    ("mmap", FILES),
    ("multiprocessing", SHELL),
    ("nt", SHELL),
    ("os", SHELL),
    ("pdb", EVALUATES),
    ("pickle", LOADS),
    ("_pickle", LOADS),
    ("cPickle", LOADS),
    ("pip", SHELL),
    ("pkgutil", REACHES),
    ("platform", SHELL),
    ("popen2", SHELL),
    ("posix", SHELL),
    ("profile", EVALUATES),
    ("pty", SHELL),
    ("pydoc", SHELL),
    ("requests", NETWORK),
    ("runpy", EVALUATES),
    ("setuptools", SHELL),
    ("shelve", LOADS),
    ("shutil", FILES),
    ("signal", SHELL),
    ("site", EVALUATES),
    ("smtplib", NETWORK),
    ("socket", NETWORK),
    ("_socket", NETWORK),
    ("ssl", NETWORK),
    ("subprocess", SHELL),
    ("sys", REACHES),
    ("telnetlib", NETWORK),
    ("tempfile", FILES),
    ("threading", EVALUATES),
    ("timeit", EVALUATES),
    ("torch.hub", LOADS),
    ("torch.utils.cpp_extension", SHELL),
    ("trace", EVALUATES),
    ("urllib", NETWORK),
    ("urllib2", NETWORK),
    ("venv", SHELL),
    ("webbrowser", SHELL),
    ("zipimport", EVALUATES),
];

/// Modules that any module importing them re-exports: `numpy.f2py.os` is `os`.
const REEXPORTED: &[&str] = &[
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "builtins",
    "__builtins__",
    "importlib",
    "ctypes",
    "shutil",
    "pty",
    "runpy",
];

/// Single names out of modules that are otherwise harmless or unknown.
const NAMES: &[(&str, &str, &str)] = &[
    ("builtins", "__build_class__", EVALUATES),
    ("builtins", "__import__", REACHES),
    ("builtins", "apply", EVALUATES),
    ("builtins", "breakpoint", EVALUATES),
    ("builtins", "compile", EVALUATES),
    ("builtins", "delattr", REACHES),
    ("builtins", "dir", REACHES),
    ("builtins", "eval", EVALUATES),
    ("builtins", "exec", EVALUATES),
    ("builtins", "execfile", EVALUATES),
    ("builtins", "file", FILES),
    ("builtins", "getattr", REACHES),
    ("builtins", "globals", REACHES),
    ("builtins", "hasattr", REACHES),
    ("builtins", "input", EVALUATES),
    ("builtins", "locals", REACHES),
    ("builtins", "open", FILES),
    ("builtins", "raw_input", EVALUATES),
    ("builtins", "reload", EVALUATES),
    ("builtins", "setattr", REACHES),
    ("builtins", "vars", REACHES),
    ("functools", "reduce", EVALUATES),
    ("io", "FileIO", FILES),
    ("io", "open", FILES),
    ("io", "open_code", FILES),
    ("_io", "FileIO", FILES),
    ("_io", "open", FILES),
    ("joblib", "load", LOADS),
    ("joblib.numpy_pickle", "load", LOADS),
    ("lib2to3.pgen2.grammar", "Grammar.loadGrammar", LOADS),
    ("numpy", "fromfile", FILES),
    ("numpy", "load", LOADS),
    ("numpy", "loadtxt", FILES),
    ("numpy", "save", FILES),
    ("numpy.lib.npyio", "load", LOADS),
    ("numpy.testing._private.utils", "runstring", EVALUATES),
    ("operator", "attrgetter", REACHES),
    ("operator", "methodcaller", REACHES),
    ("_operator", "attrgetter", REACHES),
    ("_operator", "methodcaller", REACHES),
    ("pandas", "read_pickle", LOADS),
    ("pandas.io.pickle", "read_pickle", LOADS),
    ("torch", "compile", EVALUATES),
    ("torch", "load", LOADS),
    ("torch._utils", "_import_dotted_name", REACHES),
    (
        "torch.fx.graph_module",
        "reduce_deploy_graph_module",
        EVALUATES,
    ),
    ("torch.fx.graph_module", "reduce_graph_module", EVALUATES),
    (
        "torch.fx.graph_module",
        "reduce_package_graph_module",
        EVALUATES,
    ),
    ("torch.jit", "load", LOADS),
    ("torch.serialization", "load", LOADS),
    ("torch.storage", "_load_from_bytes", LOADS),
    ("types", "CodeType", EVALUATES),
    ("types", "FunctionType", EVALUATES),
    ("types", "LambdaType", EVALUATES),
    ("uuid", "_get_command_stdout", SHELL),
];

/// Names that only build data.
const HARMLESS: &[(&str, &[&str])] = &[
    ("_codecs", &["encode"]),
    ("argparse", &["Namespace"]),
    (
        "builtins",
        &[
            "ArithmeticError",
            "AttributeError",
            "BaseException",
            "Ellipsis",
            "Exception",
            "IndexError",
            "KeyError",
            "NotImplemented",
            "OSError",
            "RuntimeError",
            "TypeError",
            "ValueError",
            "bool",
            "bytearray",
            "bytes",
            "complex",
            "dict",
            "float",
            "frozenset",
            "int",
            "list",
            "long",
            "object",
            "range",
            "set",
            "slice",
            "str",
            "tuple",
            "unicode",
            "xrange",
        ],
    ),
    (
        "collections",
        &["Counter", "OrderedDict", "defaultdict", "deque"],
    ),
    (
        "copyreg",
        &["__newobj__", "__newobj_ex__", "_reconstructor"],
    ),
    (
        "datetime",
        &["date", "datetime", "time", "timedelta", "timezone"],
    ),
    ("decimal", &["Decimal"]),
    ("fractions", &["Fraction"]),
    (
        "numpy",
        &[
            "bool_",
            "complex128",
            "complex64",
            "dtype",
            "float16",
            "float32",
            "float64",
            "int16",
            "int32",
            "int64",
            "int8",
            "ndarray",
            "uint16",
            "uint32",
            "uint64",
            "uint8",
        ],
    ),
    ("numpy._core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy._core.numeric", &["_frombuffer"]),
    ("numpy.core.multiarray", &["_reconstruct", "scalar"]),
    ("numpy.core.numeric", &["_frombuffer"]),
    (
        "numpy.random._pickle",
        &[
            "__bit_generator_ctor",
            "__generator_ctor",
            "__randomstate_ctor",
        ],
    ),
    (
        "pathlib",
        &[
            "Path",
            "PosixPath",
            "PurePath",
            "PurePosixPath",
            "PureWindowsPath",
            "WindowsPath",
        ],
    ),
    (
        "torch",
        &[
            "Size", "Tensor", "bfloat16", "bool", "device", "dtype", "float16", "float32",
            "float64", "int16", "int32", "int64", "int8", "uint8",
        ],
    ),
    ("torch._tensor", &["_rebuild_from_type_v2"]),
    (
        "torch._utils",
        &[
            "_rebuild_device_tensor_from_numpy",
            "_rebuild_meta_tensor_no_storage",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
            "_rebuild_qtensor",
            "_rebuild_sparse_tensor",
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
        ],
    ),
    ("torch.nn.parameter", &["Buffer", "Parameter"]),
    (
        "torch.storage",
        &[
            "TypedStorage",
            "UntypedStorage",
            "_TypedStorage",
            "_UntypedStorage",
        ],
    ),
    ("types", &["SimpleNamespace"]),
    ("uuid", &["UUID"]),
];

/// What importing `name` from `module` can do. Python 2 names count as what Python 3 reads them as.
pub(super) fn judge(module: &str, name: &str) -> Judgement {
    let module = match module {
        "__builtin__" | "__builtins__" | "exceptions" => "builtins",
        "copy_reg" => "copyreg",
        other => other,
    };
    if let Some(&(_, why)) = MODULES.iter().find(|(listed, _)| is_within(module, listed)) {
        return Judgement::Dangerous(why);
    }
    if let Some((_, _, why)) = NAMES
        .iter()
        .find(|(listed, first, _)| *listed == module && is_within(name, first))
    {
        return Judgement::Dangerous(why);
    }
    // From protocol 4 on a name may be a dotted path, resolved attribute by attribute.
    let mut parts = module.split('.').chain(name.split('.'));
    if parts.next().is_some() && parts.any(|part| REEXPORTED.contains(&part)) {
        return Judgement::Dangerous(REACHES);
    }
    if name.contains('.') && name.split('.').any(|part| part.starts_with("__")) {
        return Judgement::Dangerous(REACHES);
    }
    let listed = HARMLESS
        .iter()
        .any(|(listed, names)| *listed == module && names.contains(&name));
    let storage = (module == "torch" || module == "torch.cuda")
        && name.ends_with("Storage")
        && !name.contains('.');
    // A layer's class: saved whole models name dozens of them.
    let layer = module.starts_with("torch.nn.modules.")
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && !name.contains('.');
    if listed || storage || layer {
        Judgement::Harmless
    } else {
        Judgement::Unknown
    }
}

/// Whether `path` is `parent` or something below it.
fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_run_code_are_dangerous_however_they_are_spelled() {
        for (module, name) in [
            ("os", "system"),
            ("nt", "popen"),
            ("__builtin__", "eval"),
            ("builtins", "getattr"),
            ("builtins", "eval.__call__"),
            ("numpy.f2py", "os.system"),
            ("torch.serialization.os", "system"),
            ("collections", "abc.sys.modules"),
            ("logging.config", "dictConfig"),
            ("multiprocessing.util", "spawnv_passfds"),
            ("somewhere", "f.__globals__"),
            ("operator", "methodcaller"),
            ("torch", "load"),
        ] {
            assert!(
                matches!(judge(module, name), Judgement::Dangerous(_)),
                "{module}.{name}"
            );
        }
    }

    #[test]
    fn what_checkpoints_are_made_of_is_harmless() {
        for (module, name) in [
            ("collections", "OrderedDict"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch", "FloatStorage"),
            ("torch.nn.modules.linear", "Linear"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
            ("__builtin__", "set"),
            ("copy_reg", "_reconstructor"),
        ] {
            assert_eq!(judge(module, name), Judgement::Harmless, "{module}.{name}");
        }
    }

    #[test]
    fn what_merely_resembles_a_listed_module_is_unknown() {
        for (module, name) in [
            ("sklearn.svm._classes", "SVC"),
            ("osmium", "system"),
            ("mymodel", "Net"),
            ("codes", "A"),
        ] {
            assert_eq!(judge(module, name), Judgement::Unknown, "{module}.{name}");
        }
    }
}
