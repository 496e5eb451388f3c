// The programs, each with the line that downloads with it.

package main

// program is one way of downloading. Its line is run by sh, in an empty folder, with these variables: URL of the file, BASE of the
// server, SCHEME ("http" or "https"), NAME of the file, OUT where the content is to be put, CA the file of the
// authority, TESTDATA this package's folder of that name, TOOLS a folder of what has been compiled.
type program struct {
	name     string
	packages string // of Debian, all of which -install installs
	needs    string // a command, or a file, without which it cannot be run
	file     string // what it downloads; film.bin if empty
	line     string
	plain    bool // it is not for https
	reach    bool // no library can be preloaded into it: its connections are carried
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
	{name: "aria2c, 4 connections", packages: "aria2", needs: "aria2c", line: `aria2c -q -x4 -s4 -k1M --file-allocation=none --ca-certificate="$CA" -o out "$URL"`},
	{name: "axel", packages: "axel", needs: "axel", line: `axel -q -n1 -o "$OUT" "$URL"`},
	{name: "axel, 4 connections", packages: "axel", needs: "axel", line: `axel -q -n4 -o "$OUT" "$URL"`},
	{name: "lftp get", packages: "lftp", needs: "lftp", line: `lftp -c "set ssl:ca-file $CA; set net:max-retries 2; get $URL -o $OUT"`},
	{name: "lftp pget", packages: "lftp", needs: "lftp", line: `lftp -c "set ssl:ca-file $CA; set net:max-retries 2; pget -n 4 $URL -o $OUT"`},
	{name: "apt", packages: "apt", needs: "/usr/lib/apt/apt-helper", line: `/usr/lib/apt/apt-helper -q -o APT::Sandbox::User=root download-file "$URL" "$OUT"`},
	{name: "apt as _apt", packages: "apt", needs: "/usr/lib/apt/apt-helper", line: `chmod 777 .; chown _apt "$MIDSTREAM_RUNTIME_DIR"
/usr/lib/apt/apt-helper -q download-file "$URL" "$OUT"; status=$?; chown root "$MIDSTREAM_RUNTIME_DIR"; exit $status`},
	{name: "pip", packages: "python3-pip", needs: "/usr/lib/python3/dist-packages/pip", file: "film-1.0-py3-none-any.whl",
		line: `/usr/bin/python3 -m pip download -q --no-deps --no-cache-dir --disable-pip-version-check --cert "$CA" $([ "$SCHEME" = https ] || echo --trusted-host "$HOST") -d . "$URL" && mv "$NAME" "$OUT"`},
	{name: "git, dumb", packages: "git", needs: "git", file: "film.git/info/refs",
		line: `git -c http.sslCAInfo="$CA" clone -q "$BASE/film.git" film && mv film/film.bin "$OUT"`},
	{name: "ffmpeg", packages: "ffmpeg", needs: "ffmpeg", file: "film.ts", line: `ffmpeg -v error -nostdin -y $([ "$SCHEME" = http ] || echo -ca_file "$CA") -i "$URL" -c copy -f mpegts -bitexact "$OUT"`},
	{name: "mpv", packages: "mpv", needs: "mpv", file: "film.ts", line: `mpv --no-config --really-quiet --tls-ca-file="$CA" --tls-verify=yes --stream-dump="$OUT" "$URL"`},
	{name: "VLC", packages: "vlc-bin vlc-plugin-base", needs: "cvlc", file: "film.ts",
		line: `chmod 777 .; chown 65534 "$MIDSTREAM_RUNTIME_DIR"; setpriv --reuid=65534 --clear-groups env HOME="$PWD" cvlc -q --no-dbus "$URL" --sout "#std{access=file,mux=dummy,dst=$OUT}" vlc://quit
status=$?; chown root "$MIDSTREAM_RUNTIME_DIR"; exit $status`},
	{name: "yt-dlp", packages: "yt-dlp", needs: "yt-dlp", file: "film.ts", line: `yt-dlp -q --no-cache-dir -o "$OUT" "$URL"`},
	{name: "Python urllib", packages: "python3", needs: "/usr/bin/python3", line: python(`import ssl, shutil, urllib.request
context = ssl.create_default_context(cafile=CA) if URL.startswith("https") else None
shutil.copyfileobj(urllib.request.urlopen(URL, context=context), open(OUT, "wb"))`)},
	{name: "Python requests", packages: "python3-requests", needs: "/usr/lib/python3/dist-packages/requests", line: python(`import requests
with requests.get(URL, stream=True, verify=CA) as r, open(OUT, "wb") as f:
    for piece in r.iter_content(65536): f.write(piece)`)},
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
	{name: "httpie", packages: "httpie", needs: "http", line: `"$SCHEME" --ignore-stdin --quiet --verify="$CA" --download --output "$OUT" "$URL"`},
	{name: "PHP curl", packages: "php-cli php-curl", needs: "php", line: `php -r '$c = curl_init(getenv("URL")); $f = fopen(getenv("OUT"), "w");
curl_setopt_array($c, [CURLOPT_FILE => $f, CURLOPT_CAINFO => getenv("CA")]); exit(curl_exec($c) ? 0 : 1);'`},
	{name: "PHP file_get_contents", packages: "php-cli", needs: "php", line: `php -d memory_limit=-1 -r '$c = stream_context_create(["ssl" => ["cafile" => getenv("CA")]]);
file_put_contents(getenv("OUT"), file_get_contents(getenv("URL"), false, $c));'`},
	{name: "Perl LWP", packages: "libwww-perl liblwp-protocol-https-perl", needs: "/usr/share/perl5/LWP/UserAgent.pm", line: `perl -MLWP::UserAgent -e '
my $r = LWP::UserAgent->new(ssl_opts => {SSL_ca_file => $ENV{CA}})->get($ENV{URL}, ":content_file" => $ENV{OUT});
exit !($r->is_success && !$r->header("X-Died") && !$r->header("Client-Aborted"))'`},
	{name: "Ruby net/http", packages: "ruby", needs: "ruby", line: `ruby -rnet/http -e '
u = URI(ENV["URL"]); h = Net::HTTP.new(u.host, u.port); h.use_ssl = u.scheme == "https"; h.ca_file = ENV["CA"]; h.max_retries = 0
File.open(ENV["OUT"], "wb") { |f| h.start { |c| c.request_get(u.path) { |r| r.read_body { |p| f.write p } } } }'`},
	{name: "GStreamer souphttpsrc", packages: "gstreamer1.0-tools gstreamer1.0-plugins-good glib-networking", needs: "gst-launch-1.0",
		line: `gst-launch-1.0 -q souphttpsrc location="$URL" ssl-ca-file="$CA" ssl-use-system-ca-file=false ! filesink location="$OUT"`},
	{name: "node http, https", packages: "nodejs", needs: "node", line: node(`require(process.env.SCHEME).get(URL, {ca: fs.readFileSync(CA)}, r => {
  r.on("error", e => { console.error(e.message); process.exit(1) }).pipe(fs.createWriteStream(OUT)) }).on("error", e => { console.error(e.message); process.exit(1) })`)},
	{name: "node fetch", packages: "nodejs", needs: "node", line: node(`fetch(URL).then(async r => { const f = fs.createWriteStream(OUT)
  for await (const piece of r.body) f.write(piece)
  f.end() }).catch(e => { console.error(e.message); process.exit(1) })`)},
	{name: "npm", packages: "npm", needs: "npm", file: "film-1.0.0.tgz",
		line: `NODE_EXTRA_CA_CERTS="$CA" npm install --silent --no-audit --no-fund --no-update-notifier --fetch-retries=0 --cache "$PWD/cache" --prefix "$PWD" "$URL" && mv node_modules/film/film.bin "$OUT"`},
	{name: "Java URLConnection", packages: "default-jdk-headless", needs: "javac", line: java(`new java.net.URL(args[0]).openStream()`)},
	{name: "Java HttpClient", packages: "default-jdk-headless", needs: "javac",
		line: java(`java.net.http.HttpClient.newHttpClient().send(java.net.http.HttpRequest.newBuilder(java.net.URI.create(args[0])).build(), java.net.http.HttpResponse.BodyHandlers.ofInputStream()).body()`)},
	{name: "rclone", packages: "rclone", needs: "rclone", reach: true, line: `rclone -q --retries 1 --low-level-retries 1 --config "$PWD/none" copyurl "$URL" "$OUT"`},
	{name: "Go, static", needs: "go", reach: true, line: `"$TOOLS/static" "$URL" "$OUT"`},
	{name: "Go, linked dynamically", needs: "go", reach: true, line: `"$TOOLS/dynamic" "$URL" "$OUT"`},
}

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
