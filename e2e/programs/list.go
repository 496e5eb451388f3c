// The programs, each with the line that downloads with it.

package main

// program is one way of downloading. Its line is run by sh, in an empty folder, with these variables: URL of the file, BASE of the
// server, SCHEME ("http" or "https"), HOST the server's name, NAME of the file, OUT where the content is to be put, CA the file of the
// authority, TOOLS a folder of what has been compiled, and UNDER what is put before the program where that is `direct`.
type program struct {
	name     string
	packages string // of Debian, all of which -install installs
	needs    string // a command, or a file, without which it cannot be run
	file     string // what it downloads; film.bin if empty
	line     string
	plain    bool // it is not for https
	reach    bool // with --reach=all: its connections are carried, as no library can be preloaded into it
	direct   bool // the launcher starts the program itself, as a person does, not sh: it looks at what it starts
}

var programs = []program{
	{name: "curl", packages: "curl", needs: "curl", line: `curl -fsS --cacert "$CA" -o "$OUT" "$URL"`},
	{name: "curl --http2", packages: "curl", needs: "curl", line: `curl -fsS --http2 --cacert "$CA" -o "$OUT" "$URL"`},
	{name: "wget", packages: "wget", needs: "wget", line: `wget -q --ca-certificate="$CA" -O "$OUT" "$URL"`},
	{name: "wget in a script", packages: "wget", needs: "wget", line: `cat >script <<'END'
#!/bin/sh
for url; do wget -q --ca-certificate="$CA" -O - "$url" | cat >"$OUT"; done
END
sh script "$URL"`},
	{name: "bash, curl in it", packages: "bash curl", needs: "bash", line: `bash -c 'curl -fsS --cacert "$CA" "$URL" >"$OUT"'`},
	{name: "wget2", packages: "wget2", needs: "wget2", line: `wget2 -q --ca-certificate="$CA" -O "$OUT" "$URL"`},
	{name: "busybox wget", packages: "busybox", needs: "busybox", line: `busybox wget -q -O "$OUT" "$URL"`},
	{name: "aria2c", packages: "aria2", needs: "aria2c", line: `aria2c -q -x1 --ca-certificate="$CA" -o out "$URL"`},
	{name: "aria2c, 4 connections", packages: "aria2", needs: "aria2c", file: "parts.bin", line: `aria2c -q -x4 -s4 -k1M --file-allocation=none --ca-certificate="$CA" -o out "$URL"`},
	{name: "axel", packages: "axel", needs: "axel", line: `axel -q -n1 -o "$OUT" "$URL"`},
	{name: "axel, 4 connections", packages: "axel", needs: "axel", file: "parts.bin", line: `axel -q -n4 -o "$OUT" "$URL"`},
	{name: "lftp get", packages: "lftp", needs: "lftp", line: `lftp -c "set ssl:ca-file $CA; set net:max-retries 2; get $URL -o $OUT"`},
	{name: "lftp pget", packages: "lftp", needs: "lftp", file: "parts.bin", line: `lftp -c "set ssl:ca-file $CA; set net:max-retries 2; pget -n 4 $URL -o $OUT"`},
	{name: "snarf", packages: "snarf", needs: "snarf", plain: true, line: `snarf -q "$URL" "$OUT"`},
	{name: "zsync", packages: "zsync", needs: "zsyncmake", plain: true, file: "film.bin.zsync", line: `zsync -q -o "$OUT" "$URL"`},
	{name: "w3m", packages: "w3m", needs: "w3m", line: `w3m -o ssl_ca_file="$CA" -o ssl_verify_server=1 -dump_source "$URL" >"$OUT"`},
	{name: "lynx", packages: "lynx", needs: "lynx", line: `lynx -source "$URL" >"$OUT"`},
	{name: "links", packages: "links", needs: "links", line: `links -source "$URL" >"$OUT"`},
	{name: "elinks", packages: "elinks", needs: "elinks", line: `elinks -no-home -source 1 "$URL" >"$OUT"`},
	{name: "apt", packages: "apt", needs: "/usr/lib/apt/apt-helper", line: `/usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$URL" "$OUT"`},
	{name: "apt as _apt", packages: "apt", needs: "/usr/lib/apt/apt-helper", line: `chmod 777 .; chown _apt "$MIDSTREAM_RUNTIME_DIR"
/usr/lib/apt/apt-helper -q download-file "$URL" "$OUT"; status=$?; chown root "$MIDSTREAM_RUNTIME_DIR"; exit $status`},
	{name: "pip", packages: "python3-pip", needs: "/usr/lib/python3/dist-packages/pip", file: "film-1.0-py3-none-any.whl",
		line: `/usr/bin/python3 -m pip download -q --no-deps --no-cache-dir --disable-pip-version-check --cert "$CA" $([ "$SCHEME" = https ] || echo --trusted-host "$HOST") -d . "$URL" && mv "$NAME" "$OUT"`},
	{name: "git, dumb", packages: "git", needs: "git", file: "film.git/info/refs",
		line: `git -c http.sslCAInfo="$CA" clone -q "$BASE/film.git" film && mv film/film.bin "$OUT"`},
	{name: "git, smart", packages: "git fcgiwrap", needs: "fcgiwrap", file: "smart/film.git",
		line: `git -c http.sslCAInfo="$CA" clone -q "$URL" film && mv film/film.bin "$OUT"`},
	{name: "ostree", packages: "ostree", needs: "ostree", file: "ostree/config", line: `ostree --repo=local init --mode=bare-user-only &&
ostree --repo=local remote add --no-gpg-verify $([ "$SCHEME" = http ] || echo --set=tls-ca-path="$CA") lab "$BASE/ostree" film &&
ostree --repo=local pull lab >/dev/null && ostree --repo=local cat lab:film /film.bin >"$OUT"`},
	{name: "ffmpeg", packages: "ffmpeg", needs: "ffmpeg", file: "film.ts", line: `ffmpeg -v error -nostdin -y $([ "$SCHEME" = http ] || echo -ca_file "$CA") -i "$URL" -c copy -f mpegts -bitexact "$OUT"`},
	{name: "mpv", packages: "mpv", needs: "mpv", file: "film.ts", line: `mpv --no-config --really-quiet --tls-ca-file="$CA" --tls-verify=yes --stream-dump="$OUT" "$URL"`},
	{name: "VLC", packages: "vlc-bin vlc-plugin-base", needs: "cvlc", file: "film.ts",
		line: `chmod 777 .; chown 65534 "$MIDSTREAM_RUNTIME_DIR"; setpriv --reuid=65534 --clear-groups env HOME="$PWD" cvlc -q --no-dbus "$URL" --sout "#std{access=file,mux=dummy,dst=$OUT}" vlc://quit
status=$?; chown root "$MIDSTREAM_RUNTIME_DIR"; exit $status`},
	{name: "MPlayer", packages: "mplayer", needs: "mplayer", file: "film.ts",
		line: `mplayer -really-quiet -noconfig all -dumpstream -dumpfile "$OUT" $([ "$SCHEME" = http ] || echo ffmpeg://)"$URL" </dev/null`},
	{name: "mpg123", packages: "mpg123", needs: "mpg123", file: "film.mp2", line: `mpg123 -q -w "$OUT" "$URL"`},
	{name: "yt-dlp", packages: "yt-dlp", needs: "yt-dlp", file: "film.ts", line: `yt-dlp -q --no-cache-dir -o "$OUT" "$URL"`},
	{name: "Python urllib", packages: "python3", needs: "/usr/bin/python3", line: python(`import ssl, shutil, urllib.request
context = ssl.create_default_context(cafile=CA) if URL.startswith("https") else None
shutil.copyfileobj(urllib.request.urlopen(URL, context=context), open(OUT, "wb"))`)},
	{name: "Python requests", packages: "python3-requests", needs: "/usr/lib/python3/dist-packages/requests", line: python(`import requests
with requests.get(URL, stream=True, verify=CA) as r, open(OUT, "wb") as f:
    for piece in r.iter_content(65536): f.write(piece)`)},
	{name: "Python urllib3", packages: "python3-urllib3", needs: "/usr/lib/python3/dist-packages/urllib3", line: python(`import shutil, urllib3
shutil.copyfileobj(urllib3.PoolManager(ca_certs=CA, retries=False).request("GET", URL, preload_content=False), open(OUT, "wb"))`)},
	{name: "Python httplib2", packages: "python3-httplib2", needs: "/usr/lib/python3/dist-packages/httplib2", line: python(`import httplib2
open(OUT, "wb").write(httplib2.Http(ca_certs=CA).request(URL)[1])`)},
	{name: "Python pycurl (GnuTLS)", packages: "python3-pycurl", needs: "/usr/share/doc/python3-pycurl", line: python(`import pycurl
c = pycurl.Curl()
c.setopt(c.URL, URL)
c.setopt(c.CAINFO, CA)
with open(OUT, "wb") as f:
    c.setopt(c.WRITEDATA, f)
    c.perform()`)},
	{name: "Python Tornado", packages: "python3-tornado", needs: "/usr/lib/python3/dist-packages/tornado", line: python(`import asyncio
from tornado import httpclient, simple_httpclient
async def main():
    with open(OUT, "wb") as f:
        await simple_httpclient.SimpleAsyncHTTPClient(max_body_size=1 << 30).fetch(URL, ca_certs=CA, streaming_callback=f.write)
asyncio.run(main())`)},
	{name: "Python Twisted", packages: "python3-treq", needs: "/usr/lib/python3/dist-packages/treq", line: python(`import treq
from twisted.internet.task import react
async def main(reactor):
    with open(OUT, "wb") as f:
        await treq.collect(await treq.get(URL), f.write)
react(lambda reactor: __import__("twisted").internet.defer.ensureDeferred(main(reactor)))`)},
	{name: "Python httpx", packages: "python3-httpx", needs: "/usr/lib/python3/dist-packages/httpx", line: python(`import httpx
with httpx.stream("GET", URL, verify=CA) as r, open(OUT, "wb") as f:
    for piece in r.iter_raw(): f.write(piece)`)},
	{name: "Python httpx, async", packages: "python3-httpx", needs: "/usr/lib/python3/dist-packages/httpx", line: python(`import asyncio, httpx
async def main():
    async with httpx.AsyncClient(verify=CA) as c, c.stream("GET", URL) as r:
        with open(OUT, "wb") as f:
            async for piece in r.aiter_raw(): f.write(piece)
asyncio.run(main())`)},
	{name: "Python aiohttp", packages: "python3-aiohttp", needs: "/usr/lib/python3/dist-packages/aiohttp", line: python(`import aiohttp, asyncio, ssl
async def main():
    context = ssl.create_default_context(cafile=CA)
    async with aiohttp.ClientSession() as s, s.get(URL, ssl=context) as r:
        with open(OUT, "wb") as f:
            async for piece in r.content.iter_any(): f.write(piece)
asyncio.run(main())`)},
	{name: "Python aiohttp, uvloop", packages: "python3-aiohttp python3-uvloop", needs: "/usr/lib/python3/dist-packages/uvloop", line: python(`import aiohttp, asyncio, ssl, uvloop
async def main():
    context = ssl.create_default_context(cafile=CA)
    async with aiohttp.ClientSession() as s, s.get(URL, ssl=context) as r:
        with open(OUT, "wb") as f:
            async for piece in r.content.iter_any(): f.write(piece)
uvloop.install()
asyncio.run(main())`)},
	{name: "Python multiprocessing", packages: "python3", needs: "/usr/bin/python3", line: python(`import multiprocessing, shutil, ssl, urllib.request
def get(url):
    context = ssl.create_default_context(cafile=CA) if URL.startswith("https") else None
    shutil.copyfileobj(urllib.request.urlopen(url, context=context), open(OUT, "wb"))
multiprocessing.set_start_method("fork")
p = multiprocessing.Process(target=get, args=(URL,))
p.start()
p.join()
raise SystemExit(p.exitcode)`)},
	{name: "Python multiprocessing, second download", packages: "python3", needs: "/usr/bin/python3", line: python(`import multiprocessing, shutil, ssl, urllib.request
context = ssl.create_default_context(cafile=CA) if URL.startswith("https") else None
def get(url, out):
    shutil.copyfileobj(urllib.request.urlopen(url, context=context), open(out, "wb"))
get(os.environ["BASE"] + "/small.bin", "small")
multiprocessing.set_start_method("fork")
p = multiprocessing.Process(target=get, args=(URL, OUT))
p.start()
p.join()
raise SystemExit(p.exitcode)`)},
	{name: "Perl, a worker of four", packages: "libio-socket-ssl-perl ca-certificates", needs: "/usr/share/perl5/IO/Socket/SSL.pm", line: `cat >get.pl <<'END'
use HTTP::Tiny;
sub get { HTTP::Tiny->new(verify_SSL => 1, SSL_options => {SSL_ca_file => $ENV{CA}})->mirror($_[0], $_[1])->{success} }
get("$ENV{BASE}/small.bin", "small") or exit 1;
pipe(my $orders, my $order);
for (1 .. 4) {
    next if fork;
    close $order;
    my $line = <$orders> // exit 2; # one of them gets it
    exit !get(split / /, $line =~ s/\n//r);
}
print $order "$ENV{URL} $ENV{OUT}\n";
close $order;
my $served = 0;
while (wait > 0) { $served = 1 if $? == 0 }
exit !$served;
END
perl get.pl`},
	{name: "httpie", packages: "httpie", needs: "http", line: `"$SCHEME" --ignore-stdin --quiet --verify="$CA" --download --output "$OUT" "$URL"`},
	{name: "PHP curl", packages: "php-cli php-curl", needs: "php", line: `php -r '$c = curl_init(getenv("URL")); $f = fopen(getenv("OUT"), "w");
curl_setopt_array($c, [CURLOPT_FILE => $f, CURLOPT_CAINFO => getenv("CA")]); exit(curl_exec($c) ? 0 : 1);'`},
	{name: "PHP file_get_contents", packages: "php-cli", needs: "php", line: `php -d memory_limit=-1 -r '$c = stream_context_create(["ssl" => ["cafile" => getenv("CA")]]);
file_put_contents(getenv("OUT"), file_get_contents(getenv("URL"), false, $c));'`},
	{name: "Perl LWP", packages: "libwww-perl liblwp-protocol-https-perl", needs: "/usr/share/perl5/LWP/UserAgent.pm", line: `perl -MLWP::UserAgent -e '
my $r = LWP::UserAgent->new(ssl_opts => {SSL_ca_file => $ENV{CA}})->get($ENV{URL}, ":content_file" => $ENV{OUT});
exit !($r->is_success && !$r->header("X-Died") && !$r->header("Client-Aborted"))'`},
	{name: "Perl HTTP::Tiny", packages: "perl libio-socket-ssl-perl", needs: "/usr/share/perl5/IO/Socket/SSL.pm", line: `perl -MHTTP::Tiny -e '
exit !HTTP::Tiny->new(verify_SSL => 1, SSL_options => {SSL_ca_file => $ENV{CA}})->mirror($ENV{URL}, $ENV{OUT})->{success}'`},
	{name: "Ruby net/http", packages: "ruby", needs: "ruby", line: `ruby -rnet/http -e '
u = URI(ENV["URL"]); h = Net::HTTP.new(u.host, u.port); h.use_ssl = u.scheme == "https"; h.ca_file = ENV["CA"]; h.max_retries = 0
File.open(ENV["OUT"], "wb") { |f| h.start { |c| c.request_get(u.path) { |r| r.read_body { |p| f.write p } } } }'`},
	{name: "Ruby HTTPClient", packages: "ruby-httpclient", needs: "/usr/share/doc/ruby-httpclient", line: `ruby -rhttpclient -e '
c = HTTPClient.new; c.ssl_config.set_trust_ca(ENV["CA"])
File.open(ENV["OUT"], "wb") { |f| c.get_content(ENV["URL"]) { |p| f.write p } }'`},
	{name: "Lua socket.http", packages: "lua5.4 lua-socket lua-sec", needs: "lua5.4", line: `lua5.4 -e '
local ask = require(os.getenv("SCHEME") == "https" and "ssl.https" or "socket.http").request
local tls = os.getenv("SCHEME") == "https" and {cafile = os.getenv("CA"), verify = "peer"} or {}
local ok, status = ask {url = os.getenv("URL"), sink = require("ltn12").sink.file(io.open(os.getenv("OUT"), "wb")), cafile = tls.cafile, verify = tls.verify}
os.exit(ok and status == 200)'`},
	{name: "Tcl http", packages: "tcl tcl-tls", needs: "tclsh", line: `cat >get.tcl <<'END'
package require http
if {$env(SCHEME) eq "https"} { package require tls; http::register https 443 [list tls::socket -cafile $env(CA) -autoservername true -require true] }
set out [open $env(OUT) wb]
set token [http::geturl $env(URL) -channel $out -binary true]
close $out
exit [expr {[http::status $token] ne "ok" || [file size $env(OUT)] != [set ${token}(totalsize)]}]
END
tclsh get.tcl`},
	{name: "Erlang httpc", packages: "erlang-base erlang-inets erlang-ssl", needs: "erl", line: `cat >get.erl <<'END'
-module(get).
-export([main/0]).
main() ->
    {ok, _} = application:ensure_all_started(ssl),
    {ok, _} = application:ensure_all_started(inets),
    TLS = [{verify, verify_peer}, {cacertfile, os:getenv("CA")}, {server_name_indication, os:getenv("HOST")}],
    R = httpc:request(get, {os:getenv("URL"), []}, [{ssl, TLS}], [{stream, os:getenv("OUT")}]),
    halt(case R of {ok, saved_to_file} -> 0; _ -> 1 end).
END
erlc get.erl && erl -noshell -noinput -s get main`},
	{name: "GStreamer souphttpsrc", packages: "gstreamer1.0-tools gstreamer1.0-plugins-good glib-networking", needs: "gst-launch-1.0",
		line: `gst-launch-1.0 -q souphttpsrc location="$URL" ssl-ca-file="$CA" ssl-use-system-ca-file=false ! filesink location="$OUT"`},
	{name: "libsoup 3", packages: "python3-gi gir1.2-soup-3.0 glib-networking", needs: "/usr/share/doc/gir1.2-soup-3.0", line: python(`import gi
gi.require_version("Soup", "3.0")
from gi.repository import Gio, Soup
session = Soup.Session(tls_database=Gio.TlsFileDatabase.new(CA))
body = session.send(Soup.Message.new("GET", URL), None)
out = Gio.File.new_for_path(OUT).replace(None, False, Gio.FileCreateFlags.NONE, None)
out.splice(body, Gio.OutputStreamSpliceFlags.CLOSE_TARGET, None)`)},
	{name: "gio copy", packages: "gvfs-backends gvfs-daemons libglib2.0-bin dbus dbus-daemon", needs: "/usr/libexec/gvfsd-http",
		line: `mkdir -m 700 runtime && XDG_RUNTIME_DIR="$PWD/runtime" dbus-run-session -- gio cat "$URL" >"$OUT"`},
	{name: "Qt 5", packages: "python3-pyqt5", needs: "/usr/lib/python3/dist-packages/PyQt5", line: python(`import sys
from PyQt5.QtCore import QCoreApplication, QUrl
from PyQt5.QtNetwork import QNetworkAccessManager, QNetworkReply, QNetworkRequest, QSslCertificate, QSslConfiguration
app, manager, out = QCoreApplication(sys.argv), QNetworkAccessManager(), open(OUT, "wb")
if URL.startswith("https"):
    tls = QSslConfiguration.defaultConfiguration()
    tls.setCaCertificates(QSslCertificate.fromPath(CA))
    QSslConfiguration.setDefaultConfiguration(tls)
reply = manager.get(QNetworkRequest(QUrl(URL)))
reply.readyRead.connect(lambda: out.write(reply.readAll().data()))
def end():
    out.write(reply.readAll().data())
    out.close()
    app.exit(reply.error() != QNetworkReply.NoError)
reply.finished.connect(end)
sys.exit(app.exec_())`)},
	{name: "Firefox", packages: "firefox-esr libnss3-tools", needs: "firefox-esr", line: `mkdir profile files; certutil -N -d sql:profile --empty-password; certutil -A -d sql:profile -n lab -t C,, -i "$CA"
cat >profile/user.js <<END
user_pref("browser.download.folderList", 2);
user_pref("browser.download.dir", "$PWD/files");
user_pref("browser.helperApps.neverAsk.saveToDisk", "application/octet-stream");
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://localhost:1");
user_pref("dom.security.https_first", false);
END
firefox-esr --headless --no-remote --profile profile "$URL" 2>/dev/null &
` + browsed},
	{name: "node http, https", packages: "nodejs", needs: "node", line: node(`require(process.env.SCHEME).get(URL, {ca: fs.readFileSync(CA)}, r => {
  r.on("error", e => { console.error(e.message); process.exit(1) }).pipe(fs.createWriteStream(OUT)) }).on("error", e => { console.error(e.message); process.exit(1) })`)},
	{name: "node fetch", packages: "nodejs", needs: "node", line: node(`fetch(URL).then(async r => { const f = fs.createWriteStream(OUT)
  for await (const piece of r.body) f.write(piece)
  f.end() }).catch(e => { console.error(e.message); process.exit(1) })`)},
	{name: "npm", packages: "npm", needs: "npm", file: "film-1.0.0.tgz",
		line: `NODE_EXTRA_CA_CERTS="$CA" npm install --silent --no-audit --no-fund --no-update-notifier --fetch-retries=0 --cache "$PWD/cache" --prefix "$PWD" "$URL" && mv node_modules/film/film.bin "$OUT"`},
	{name: "cargo", packages: "cargo git", needs: "/usr/bin/cargo", file: "crates/film-1.0.0.crate", line: `mkdir -p src cargo; touch src/lib.rs
printf '[package]\nname = "show"\nversion = "1.0.0"\n[dependencies]\nfilm = {version = "1", registry = "lab"}\n' >Cargo.toml
printf '[registries.lab]\nindex = "%s"\n[net]\ngit-fetch-with-cli = true\nretry = 0\n[http]\ncainfo = "%s"\n' "$BASE/index-$SCHEME.git" "$CA" >cargo/config.toml
export CARGO_HOME="$PWD/cargo" GIT_SSL_CAINFO="$CA"
/usr/bin/cargo fetch -q && mv cargo/registry/src/*/film-1.0.0/film.bin "$OUT"`},
	{name: "Java URLConnection", packages: "default-jdk-headless", needs: "javac", line: java(`new java.net.URL(args[0]).openStream()`)},
	{name: "Java HttpClient", packages: "default-jdk-headless", needs: "javac",
		line: java(`java.net.http.HttpClient.newHttpClient().send(java.net.http.HttpRequest.newBuilder(java.net.URI.create(args[0])).build(), java.net.http.HttpResponse.BodyHandlers.ofInputStream()).body()`)},
	{name: "rclone", packages: "rclone", needs: "rclone", direct: true, line: `$UNDER rclone -q --retries 1 --low-level-retries 1 --config "$PWD/none" copyurl "$URL" "$OUT"`},
	{name: "rclone in a script", packages: "rclone", needs: "rclone", line: `rclone -q --retries 1 --low-level-retries 1 --config "$PWD/none" copyurl "$URL" "$OUT"`},
	{name: "rclone in a script, --reach=all", packages: "rclone", needs: "rclone", reach: true, line: `rclone -q --retries 1 --low-level-retries 1 --config "$PWD/none" copyurl "$URL" "$OUT"`},
	{name: "go mod download", needs: "go", direct: true, file: "go/films.example/film/@v/v1.0.0.zip",
		line: `printf 'module show\ngo 1.21\n' >go.mod
export GOPATH="$PWD/path" GOMODCACHE="$PWD/path/mod" GOCACHE="$PWD/cache" GOPROXY="$BASE/go" GONOSUMDB='*' GOFLAGS=-modcacherw GOTOOLCHAIN=local GOSUMDB=off
$UNDER go mod download "$HOST/film@v1.0.0" && mv "$GOMODCACHE/$HOST/film@v1.0.0/film.bin" "$OUT"`},
	{name: "Go, static", needs: "go", direct: true, line: `$UNDER "$TOOLS/static" "$URL" "$OUT"`},
	{name: "Go, static, in a script", needs: "go", line: `"$TOOLS/static" "$URL" "$OUT"`},
	{name: "Go, static, in a script, --reach=all", needs: "go", reach: true, line: `"$TOOLS/static" "$URL" "$OUT"`},
	{name: "Go, linked dynamically", needs: "go", direct: true, line: `$UNDER "$TOOLS/dynamic" "$URL" "$OUT"`},
	{name: "Go, linked dynamically, in a script, --reach=all", needs: "go", reach: true, line: `"$TOOLS/dynamic" "$URL" "$OUT"`},
}

// browsed waits for the end of a browser's download, or for one that goes no further, and ends the browser.
const browsed = `browser=$!
before=0 still=0
while [ $still -lt 80 ]; do
	sleep 0.1
	if [ -s "files/$NAME" ] && [ ! -e "files/$NAME.part" ]; then break; fi
	now=$(cat files/* 2>/dev/null | wc -c)
	[ "$now" = "$before" ] && [ "$now" != 0 ] && still=$((still + 1)) || still=0
	before=$now
done
kill $browser
wait $browser
mv "files/$NAME" "$OUT"`

func python(source string) string {
	return "cat >get.py <<'END'\nimport os\nURL, OUT, CA = os.environ['URL'], os.environ['OUT'], os.environ['CA']\n" + source + "\nEND\n/usr/bin/python3 get.py"
}

func node(source string) string {
	return "cat >get.js <<'END'\nconst fs = require('fs'), {URL, OUT, CA} = process.env\n" + source + "\nEND\nNODE_EXTRA_CA_CERTS=\"$CA\" node get.js"
}

// java compiles outside of what is measured; its trust store is made of the authority.
func java(stream string) string {
	return `cat >Get.java <<'END'
public class Get {
    public static void main(String[] args) throws Exception {
        try (java.io.InputStream in = ` + stream + `; java.io.OutputStream out = new java.io.FileOutputStream(args[1])) { in.transferTo(out); }
    }
}
END
javac Get.java && keytool -importcert -noprompt -alias lab -file "$CA" -keystore trust -storepass changeit >/dev/null 2>&1 &&
java -Djavax.net.ssl.trustStore=trust -Djavax.net.ssl.trustStorePassword=changeit Get "$URL" "$OUT"`
}
