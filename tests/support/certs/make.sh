#!/bin/sh
# Makes the certificates of the tests anew, beside itself. What is here was made by it;
# keys are public, so nobody may ever trust them. Needs the program openssl.
#
#   ca          trusted by the tests          other-ca    not trusted
#   server      localhost, example.test, 127.0.0.1, ::1; by an intermediate CA, which is in the file
#   rsa         the same names, with an RSA key
#   second      second.test, *.wild.test
#   client      a client's                    stranger    a client's, by other-ca
#   expired     as server, but over           foreign     as server, by other-ca
#   self        as server, by itself          locked      server's key, its password is "secret"
set -eu

cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

start=20200101000000Z
end=21200101000000Z
names='DNS:localhost,DNS:example.test,IP:127.0.0.1,IP:::1'

cat >"$work/ca.conf" <<CONF
[ca]
default_ca = main
[main]
database = $work/index
new_certs_dir = $work
serial = $work/serial
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = supplied
[req]
distinguished_name = none
[none]
CONF
: >"$work/index"
echo 1000 >"$work/serial"

# key NAME
key() {
	openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
}

# sign NAME SUBJECT CA [START END] <EXTENSIONS; a CA that is the name itself signs itself
sign() {
	cat >"$work/$1.ext"
	openssl req -new -config "$work/ca.conf" -key "$1.key" -subj "$2" -out "$work/$1.csr"
	if [ "$1" = "$3" ]; then
		set -- "$1" "$2" "$3" "${4-$start}" "${5-$end}" -selfsign
	else
		set -- "$1" "$2" "$3" "${4-$start}" "${5-$end}" -cert "$3.pem"
	fi
	name=$1 ca=$3 from=$4 until=$5
	shift 5
	openssl ca -batch -notext -config "$work/ca.conf" -keyfile "$ca.key" "$@" \
		-startdate "$from" -enddate "$until" -extfile "$work/$name.ext" \
		-in "$work/$name.csr" -out "$name.pem" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
}

server_ext() {
	printf 'basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n'
	printf 'extendedKeyUsage=serverAuth\nsubjectAltName=%s\n' "$1"
}

client_ext() {
	printf 'basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n'
	printf 'extendedKeyUsage=clientAuth\nsubjectAltName=email:client@example.test\n'
}

ca_ext() {
	printf 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n'
}

for name in ca other-ca sub-ca server second client stranger expired foreign self; do
	key "$name"
done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key

ca_ext | sign ca '/O=cede/CN=Test CA' ca
ca_ext | sign other-ca '/O=cede/CN=Another CA' other-ca
ca_ext | sign sub-ca '/O=cede/CN=Test intermediate CA' ca
server_ext "$names" | sign server '/O=cede/CN=server' sub-ca
cat sub-ca.pem >>server.pem
server_ext "$names" | sign rsa '/O=cede/CN=rsa' ca
server_ext 'DNS:second.test,DNS:*.wild.test' | sign second '/O=cede/CN=second' ca
client_ext | sign client '/O=cede/CN=client' ca
client_ext | sign stranger '/O=cede/CN=stranger' other-ca
server_ext "$names" | sign expired '/O=cede/CN=expired' ca 20200101000000Z 20210101000000Z
server_ext "$names" | sign foreign '/O=cede/CN=foreign' other-ca
server_ext "$names" | sign self '/O=cede/CN=self' self
openssl pkcs8 -topk8 -in server.key -v2 aes-256-cbc -passout pass:secret -out locked.key
rm -f sub-ca.key sub-ca.pem ca.key other-ca.key
