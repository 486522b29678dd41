/* One pass: two P-256 keys, a self-signed CA, a certificate signed by it, three PEM files. */
#include "net/cert.h"

#include "base/file.h"
#include "base/rand.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY_S (24L * 60 * 60)

static bool extend(X509 *cert, X509 *issuer, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
    bool ok = extension && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

/* What both certificates share. The serial number is chance, since browsers remember them. */
static X509 *begin(const char *name, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    if (!cert)
        return NULL;
    X509_NAME *subject = X509_get_subject_name(cert);
    bool ok = X509_set_version(cert, 2) && ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), rand_u64() >> 1 | 1) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) && X509_gmtime_adj(X509_getm_notAfter(cert), 30 * DAY_S) &&
              X509_set_pubkey(cert, key) &&
              X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"Weir throw-away", -1, -1, 0) &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

static X509 *make_ca(EVP_PKEY *key)
{
    X509 *ca = begin("Weir throw-away CA", key);
    if (ca && X509_set_issuer_name(ca, X509_get_subject_name(ca)) &&
        extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extend(ca, ca, NID_key_usage, "critical,keyCertSign") && extend(ca, ca, NID_subject_key_identifier, "hash") &&
        X509_sign(ca, key, EVP_sha256()))
        return ca;
    X509_free(ca);
    return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *const *names, size_t count)
{
    buf alternatives;
    buf_init(&alternatives, 64 * 1024);
    for (size_t i = 0; i < count; i++) {
        unsigned char address[16];
        bool ip = inet_pton(AF_INET, names[i], address) == 1 || inet_pton(AF_INET6, names[i], address) == 1;
        buf_add_fmt(&alternatives, "%s%s:%s", i ? "," : "", ip ? "IP" : "DNS", names[i]);
    }
    buf_add_char(&alternatives, '\0');
    X509 *leaf = alternatives.failed ? NULL : begin(names[0], key);
    bool ok = leaf && X509_set_issuer_name(leaf, X509_get_subject_name(ca)) &&
              extend(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
              extend(leaf, ca, NID_ext_key_usage, "serverAuth") &&
              extend(leaf, ca, NID_authority_key_identifier, "keyid") &&
              extend(leaf, ca, NID_subject_alt_name, alternatives.at) && X509_sign(leaf, ca_key, EVP_sha256());
    buf_fini(&alternatives);
    if (ok)
        return leaf;
    X509_free(leaf);
    return NULL;
}

static weir_code write_pem(const char *folder, const char *name, X509 *cert, EVP_PKEY *key, weir_error *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return error_set(err, WEIR_INVALID, "the path is too long");
    BIO *memory = BIO_new(BIO_s_mem());
    char *at = NULL;
    weir_code code = WEIR_NOMEM;
    if (memory && (cert ? PEM_write_bio_X509(memory, cert) : PEM_write_bio_PrivateKey(memory, key, NULL, NULL, 0, NULL, NULL))) {
        long len = BIO_get_mem_data(memory, &at);
        code = file_replace(path, bytes_make(at, (size_t)len), err);
    } else {
        error_set(err, WEIR_NOMEM, "'%s': out of memory", name);
    }
    BIO_free(memory);
    return code;
}

weir_code cert_make(const char *folder, const char *const *names, size_t count, weir_error *err)
{
    weir_error own = WEIR_ERROR_INIT;
    if (!err)
        err = &own;
    if (file_make_folder(folder, err))
        return error_wrap(err, "throw-away certificate in '%s'", folder);
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key && key ? make_ca(ca_key) : NULL;
    X509 *leaf = ca ? make_leaf(key, ca, ca_key, names, count) : NULL;
    unsigned long why = ERR_peek_last_error();
    if (!leaf && why)
        error_set(err, WEIR_INVALID, "a name is malformed (%s)", ERR_reason_error_string(why));
    else if (!leaf)
        error_set(err, WEIR_NOMEM, "out of memory");
    else if (!write_pem(folder, "ca.pem", ca, NULL, err) && !write_pem(folder, "server.pem", leaf, NULL, err))
        write_pem(folder, "server.key", NULL, key, err);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    ERR_clear_error();
    return err->code ? error_wrap(err, "throw-away certificate in '%s'", folder) : WEIR_OK;
}
