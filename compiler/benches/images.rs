//! The image road beside the pipeline that it replaces: `vips thumbnail` for each width, then `cwebp`, one photograph per
//! core at a time. Prints wall time, CPU time, memory and bytes of both, and their ratios. `PHOTOS=folder` says which
//! photographs; else those of Debian's wallpaper packages are taken.
#![expect(clippy::unwrap_used, reason = "a bench may stop where it stands")]
#![expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use walkdir::WalkDir;

/// Widths of the variants that both make.
const WIDTHS: [u32; 6] = [360, 480, 640, 728, 876, 1024];
/// Photographs at most.
const PHOTOS_MAX: usize = 20;
/// Where Debian's `mate-backgrounds` and `plasma-workspace-wallpapers` put theirs.
const FOLDERS: [&str; 2] = ["/usr/share/backgrounds", "/usr/share/wallpapers"];
/// A tick of the CPU times in `/proc`: Linux tells programs of a hundred a second, whatever it counts itself.
const TICK: Duration = Duration::from_millis(10);

/// For one photograph: its path, the folder of the results, the widths.
const REFERENCE: &str = r#"
set -eu
photo=$1; out=$2; shift 2
name=$(basename "$photo"); stem=${name%.*}
width=$(vipsheader -f width "$photo")
for w in "$@"; do
  [ "$w" -lt "$width" ] || continue
  vips thumbnail "$photo" "$out/$stem.w$w.jpg" "$w" --height 10000000 --size down
  cwebp -quiet -q 85 "$out/$stem.w$w.jpg" -o "$out/$stem.w$w.webp"
done
cwebp -quiet -q 85 "$photo" -o "$out/$stem.webp"
"#;

fn main() {
    let photos = photos();
    if photos.is_empty() {
        println!("images: no photographs here: set PHOTOS=folder, or install Debian's mate-backgrounds");
        return;
    }
    let bytes: u64 = photos.iter().map(|photo| fs::metadata(photo).unwrap().len()).sum();
    println!("images: {} photographs, {:.1} MB, widths {WIDTHS:?}, JPEG and WebP", photos.len(), mega(bytes));
    let work = std::env::temp_dir().join(format!("kiln-bench-images-{}", std::process::id()));
    fs::create_dir_all(&work).unwrap();
    let site = make_site(&work, &photos);
    let kiln = measure(Command::new(env!("CARGO_BIN_EXE_kiln")).arg("build").current_dir(&site));
    report("kiln", &kiln, None);
    report(
        "kiln, everything cached",
        &measure(Command::new(env!("CARGO_BIN_EXE_kiln")).arg("build").current_dir(&site)),
        Some(&kiln),
    );
    let made = made_by_kiln(&site);
    let have = |tool: &str| {
        Command::new(tool).arg("--version").output().is_ok() || Command::new(tool).arg("-version").output().is_ok()
    };
    if have("vips") && have("cwebp") {
        let reference = run_reference(&work, &photos);
        report("vips + cwebp", &reference.0, None);
        println!(
            "  kiln / vips + cwebp: wall {:.2}, CPU {:.2}",
            ratio(kiln.wall, reference.0.wall),
            ratio(kiln.cpu, reference.0.cpu)
        );
        compare(&made, &reference.1);
    } else {
        println!("images: nothing to compare with: install `vips` and `cwebp` (Debian: libvips-tools webp)");
    }
    fs::remove_dir_all(&work).unwrap();
}

/// The largest photographs, in a settled order.
fn photos() -> Vec<PathBuf> {
    let folders: Vec<PathBuf> = match std::env::var_os("PHOTOS") {
        Some(folder) => vec![folder.into()],
        None => FOLDERS.map(PathBuf::from).to_vec(),
    };
    let files = folders.iter().flat_map(|folder| WalkDir::new(folder).sort_by_file_name()).filter_map(Result::ok);
    let mut photos: BTreeMap<String, (u64, PathBuf)> = BTreeMap::new();
    for file in files.filter(|file| file.path().extension().is_some_and(|extension| extension == "jpg")) {
        let stem = file.path().file_stem().unwrap().to_string_lossy().into_owned();
        // Wallpapers lie in a folder of their own, once for each size of screen: one of them is enough.
        let is_size = stem
            .split_once('x')
            .is_some_and(|(width, height)| width.parse::<u32>().is_ok() && height.parse::<u32>().is_ok());
        let name = match file.path().ancestors().nth(3).filter(|_| is_size) {
            Some(_) if stem != "2560x1600" => continue,
            Some(folder) => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            None => stem,
        };
        photos.insert(name, (file.metadata().unwrap().len(), file.into_path()));
    }
    let mut photos: Vec<_> = photos.into_values().collect();
    photos.sort_by(|one, other| other.cmp(one));
    photos.into_iter().take(PHOTOS_MAX).map(|(_, path)| path).collect()
}

/// A site with the photographs in `static/img/` under numbers, and one page.
fn make_site(work: &Path, photos: &[PathBuf]) -> PathBuf {
    let site = work.join("site");
    fs::create_dir_all(site.join("static/img")).unwrap();
    fs::create_dir_all(site.join("content")).unwrap();
    for (number, photo) in photos.iter().enumerate() {
        fs::copy(photo, site.join(format!("static/img/p{number}.jpg"))).unwrap();
    }
    let settings = format!("base_url = \"https://example.org\"\n[images]\nwidths = {WIDTHS:?}\nformats = [\"webp\"]\n");
    fs::write(site.join("site.toml"), settings).unwrap();
    let page = "---\ntitle: Photographs\n---\n<!doctype html>\n<html lang=\"en\"><head><title>P</title></head><body></body></html>\n";
    fs::write(site.join("content/index.html"), page).unwrap();
    site
}

/// What a command cost.
struct Cost {
    wall: Duration,
    cpu: Duration,
    /// The peak of its largest process, looked at every few milliseconds.
    memory_kib: u64,
}

/// Runs a command to its end.
fn measure(command: &mut Command) -> Cost {
    let (cpu_before, start) = (cpu_of_children(), Instant::now());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut memory_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        memory_kib = memory_kib.max(memory_of_children());
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{command:?} fails");
    Cost { wall: start.elapsed(), cpu: cpu_of_children().saturating_sub(cpu_before), memory_kib }
}

/// CPU time of all children that have ended, from `/proc/self/stat` (proc(5): fields 16 and 17, after the name).
fn cpu_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
    TICK * (ticks(13) + ticks(14))
}

/// The largest resident set that any process below this one has had.
fn memory_of_children() -> u64 {
    let mut parents = BTreeMap::new();
    let mut peaks = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let number = |key: &str| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
        };
        if let (Some(parent), Some(peak)) = (number("PPid:"), number("VmHWM:")) {
            parents.insert(id, u32::try_from(parent).unwrap_or(0));
            peaks.insert(id, peak);
        }
    }
    let own = std::process::id();
    let is_below =
        |id: &u32| std::iter::successors(parents.get(id), |id| parents.get(*id)).any(|parent| *parent == own);
    peaks.iter().filter(|(id, _)| is_below(id)).map(|(_, peak)| *peak).max().unwrap_or(0)
}

fn run_reference(work: &Path, photos: &[PathBuf]) -> (Cost, BTreeMap<String, u64>) {
    let (originals, out) = (work.join("originals"), work.join("reference"));
    fs::create_dir_all(&originals).unwrap();
    fs::create_dir_all(&out).unwrap();
    let names: Vec<PathBuf> = (0..photos.len()).map(|number| originals.join(format!("p{number}.jpg"))).collect();
    for (photo, name) in photos.iter().zip(&names) {
        fs::copy(photo, name).unwrap();
    }
    let jobs = std::thread::available_parallelism().unwrap().to_string();
    let mut command = Command::new("sh");
    command.arg("-c").arg("script=$1; jobs=$2; out=$3; widths=$4; shift 4; printf '%s\\n' \"$@\" | xargs -P \"$jobs\" -I{} sh -c \"$script\" sh {} \"$out\" $widths");
    let widths = WIDTHS.map(|width| width.to_string()).join(" ");
    command.args(["sh", REFERENCE, &jobs]).arg(&out).arg(widths).args(&names).env("VIPS_CONCURRENCY", "1");
    let cost = measure(&mut command);
    let files = fs::read_dir(&out).unwrap().filter_map(Result::ok);
    (
        cost,
        files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.metadata().unwrap().len())).collect(),
    )
}

/// The variants in the finished bundle, by their plain names.
fn made_by_kiln(site: &Path) -> BTreeMap<String, u64> {
    let export = site.join("export");
    let status =
        Command::new(env!("CARGO_BIN_EXE_kiln")).arg("export").arg(site.join("dist/site.bundle")).arg(&export).output();
    assert!(status.unwrap().status.success(), "kiln export fails");
    let files = WalkDir::new(export.join("static/img"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|file| file.file_type().is_file());
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.metadata().unwrap().len())).collect()
}

/// Bytes of what both made, by format.
fn compare(made: &BTreeMap<String, u64>, reference: &BTreeMap<String, u64>) {
    for ending in ["jpg", "webp"] {
        let of_ending = |name: &str| name.ends_with(ending) && (ending == "webp" || name.contains(".w"));
        let both = reference.iter().filter(|(name, _)| of_ending(name) && made.contains_key(*name));
        let (mut kiln_bytes, mut reference_bytes, mut count) = (0, 0, 0);
        for (name, bytes) in both {
            kiln_bytes += made[name];
            reference_bytes += bytes;
            count += 1;
        }
        let missing = reference.keys().filter(|name| of_ending(name) && !made.contains_key(*name)).count();
        if reference_bytes > 0 {
            println!(
                "  {ending}: {count} files, {:.2} MB, {:.3} of the reference's; {missing} not made",
                mega(kiln_bytes),
                mega(kiln_bytes) / mega(reference_bytes)
            );
        } else {
            println!("  {ending}: none made");
        }
    }
}

fn report(name: &str, cost: &Cost, cold: Option<&Cost>) {
    let share = cold.map_or(String::new(), |cold| {
        format!(", {:.1} % of the cold build's wall time", 100.0 * ratio(cost.wall, cold.wall))
    });
    println!(
        "  {name}: wall {:.2} s, CPU {:.2} s, memory {} MB{share}",
        cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64(),
        cost.memory_kib / 1024
    );
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
