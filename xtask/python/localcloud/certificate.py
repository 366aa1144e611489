"""A certificate for the local cloud, and the authority that signed it. Both are made anew for each one."""

import argparse
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.progress import run

ADDRESS = "127.0.0.1"
VALID = timedelta(days=30)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    # A clock that is a little behind sees it as valid, too.
    begin = datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + VALID)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def make(folder: Path) -> None:
    """Makes `server.pem` and `server.key`, and `trust.pem` and, for Java, `trust.p12`: the authority, and those that the system trusts, so that
    a terminal which exports it still reaches the rest of the world."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name("Lakewright's local cloud")
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    root = (
        _builder(issuer, issuer, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority, hashes.SHA256())
    )
    server = (
        _builder(_name(ADDRESS), issuer, key.public_key())
        # rustls refuses a server whose certificate is an authority's.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    secret = folder / "server.key"
    secret.touch(mode=0o600)
    secret.write_bytes(private)
    (folder / "server.pem").write_bytes(_pem(server))
    system = ssl.get_default_verify_paths().openssl_cafile
    trusted = Path(system).read_bytes() if Path(system).is_file() else b""
    (folder / "trust.pem").write_bytes(_pem(root) + trusted)
    stores = [pkcs12.PKCS12Certificate(root, b"lakewright-local-cloud")]
    # Java requires a password; it is not a secret.
    password = serialization.BestAvailableEncryption(b"changeit")
    (folder / "trust.p12").write_bytes(pkcs12.serialize_java_truststore(stores, password))


def main() -> None:
    """Makes the files in the folder that is named."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, required=True)
    make(arguments.parse_args().folder)


if __name__ == "__main__":
    run(main)
